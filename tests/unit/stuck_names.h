/*
 * A name server that says nothing: whoever of this program or of its libraries looks up "stuck.invalid"
 * waits, on whatever thread that is, until stuck_let_go(), or so long that who waited for it is found
 * out. All other names are looked up as ever.
 */
#pragma once

#include <dlfcn.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STUCK_MS 4000

static atomic_int stuck_begun, stuck_ended;
static atomic_bool stuck_may_end;

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **found) {
    __typeof__(&getaddrinfo) real;
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (node == NULL || strcmp(node, "stuck.invalid") != 0)
        return real(node, service, hints, found);
    atomic_fetch_add(&stuck_begun, 1);
    for (int ms = 0; ms < STUCK_MS && !atomic_load(&stuck_may_end); ms++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    atomic_fetch_add(&stuck_ended, 1);
    return EAI_AGAIN;
}

/* Ends the look-ups and waits for so many. */
static inline void stuck_let_go(int count) {
    atomic_store(&stuck_may_end, true);
    for (int ms = 0; ms < 2 * STUCK_MS && atomic_load(&stuck_ended) < count; ms++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    if (atomic_load(&stuck_ended) < count)
        abort();
}
