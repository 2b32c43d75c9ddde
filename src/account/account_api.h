/* The routes of accounts: signing in, sessions and keys, one's own profile and personas, and the
 * people of the house. */
#pragma once

#include "net/router.h"
#include "store/job.h"

extern const struct route
    account_routes[]; /* account_api.c: register, login, refresh, logout, age, password, JWKS */
extern const struct route recovery_routes[]; /* recovery_api.c: links that come by mail */
extern const struct route session_routes[];  /* session_api.c: sessions, API keys */
extern const struct route profile_routes[];  /* profile_api.c: me, preferences, personas */
extern const struct route people_routes[];   /* people_api.c: invites, users */
extern const struct job_kind account_jobs[]; /* account.c */

#include "account/account_store.h"
void user_write(struct json *json, const struct user *user); /* what a person sees of themself */
extern const struct shape user_shape;
