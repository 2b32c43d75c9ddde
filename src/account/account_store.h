/*
 * The SQL of accounts, a pair of files a subject. Reads give structs in the caller's arena; changes
 * run on the writer thread. Secrets reach these files only hashed or sealed. Other errors than those
 * named are the store's (E_STORAGE).
 */
#pragma once

#include "account/invite_store.h"
#include "account/key_store.h"
#include "account/leave_store.h"
#include "account/persona_store.h"
#include "account/session_store.h"
#include "account/user_store.h"
