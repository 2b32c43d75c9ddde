/*
 * libcurl as a table of functions, opened when the first outbound call is made.
 *
 * Why not linked: Debian's libcurl brings 30 libraries (TLS, Kerberos, LDAP, SSH). Measured on the
 * build machine: a program that links it starts in 4.1 ms with 9.3 MB resident, one that does not
 * in 0.4 ms with 1.2 MB; opening it later costs 4.4 ms once and its initialisation 0.9 ms. A box
 * that only ever talks with the Understudy never pays. So CMake gives fetch/ the header of libcurl
 * but not the library, and the package names libcurl4 as a dependency by hand, because no tool can
 * see it.
 *
 * With TROUPE_CURL_LINKED (the static build, where nothing can be opened) the same table points at
 * the linked functions.
 */
#pragma once

#include <curl/curl.h>

struct curl_library {
    __typeof__(&curl_global_init_mem) global_init_mem;
    __typeof__(&curl_global_cleanup) global_cleanup;
    __typeof__(&curl_easy_init) easy_init;
    __typeof__(&curl_easy_cleanup) easy_cleanup;
    __typeof__(&curl_easy_setopt) easy_setopt;
    __typeof__(&curl_easy_getinfo) easy_getinfo;
    __typeof__(&curl_easy_perform) easy_perform;
    __typeof__(&curl_easy_strerror) easy_strerror;
    __typeof__(&curl_slist_append) slist_append;
    __typeof__(&curl_slist_free_all) slist_free_all;
    __typeof__(&curl_multi_init) multi_init;
    __typeof__(&curl_multi_cleanup) multi_cleanup;
    __typeof__(&curl_multi_setopt) multi_setopt;
    __typeof__(&curl_multi_add_handle) multi_add_handle;
    __typeof__(&curl_multi_remove_handle) multi_remove_handle;
    __typeof__(&curl_multi_socket_action) multi_socket_action;
    __typeof__(&curl_multi_assign) multi_assign;
    __typeof__(&curl_multi_info_read) multi_info_read;
};

/* The table, opened and initialised at the first call. NULL when this machine has no libcurl; the
 * reason is logged once. Loop thread. */
const struct curl_library *curl_library_open(void);
/* Gives back what libcurl holds. The library itself stays mapped: unloading TLS libraries is not
 * safe. */
void curl_library_close(void);
