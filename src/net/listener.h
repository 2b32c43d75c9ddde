/* Sockets that take connections: from the setting, or from systemd (LISTEN_FDS). Accepting pauses
 * when descriptors run out. */
#pragma once

#include "base/config.h"
#include "base/err.h"

struct net_settings {
    struct str listen; /* "127.0.0.1:8420" */
    struct str
        public_url; /* the origin people use, when behind a proxy: "https://troupe.example" */
    struct str trusted_proxies; /* addresses or CIDR ranges, comma-separated */
    struct str
        allowed_origins; /* more origins that may open sockets and call the API from a page */
    int64_t grace_ms;    /* how long a stop waits for running replies */
};
extern struct net_settings net_settings;
extern const struct setting net_setting_rows[];

/* Listens. The problem is logged for a person (port in use, no right). is_loopback_only is enforced
 * by the caller before an owner exists. */
MUST_USE enum err listener_start(struct str address);
bool listener_is_loopback(struct str address);
struct str listener_address(void); /* where it really listens, with the port: "127.0.0.1:8420" */
/* Stops accepting, closes idle connections, lets running requests finish. */
void listener_drain(void);
void listener_stop(void);

/* --- for conn.c and gate.c -------------------------------------------------------------------- */
struct address_slot;
void listener_forget(
    struct address_slot *slot);             /* a connection of this address is gone; NULL is fine */
bool listener_is_proxy(struct str address); /* listed in net.trusted_proxies */
/* True while only this machine can reach us: then Host must be a name that no web site can point
 * here. */
bool listener_needs_local_host(void);
