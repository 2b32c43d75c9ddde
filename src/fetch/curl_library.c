/* Opens libcurl by name and fills the table; see the header for why. */
#include "fetch/curl_library.h"

#include "base/check.h"
#include "base/log.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

static struct curl_library library;
static bool is_filled;
static bool is_initialised;
static bool is_missing;

#ifdef TROUPE_CURL_LINKED

static bool fill(void) {
    library = (struct curl_library){
        curl_global_init_mem,     curl_global_cleanup,   curl_easy_init,
        curl_easy_cleanup,        curl_easy_setopt,      curl_easy_getinfo,
        curl_easy_perform,        curl_easy_strerror,    curl_slist_append,
        curl_slist_free_all,      curl_multi_init,       curl_multi_cleanup,
        curl_multi_setopt,        curl_multi_add_handle, curl_multi_remove_handle,
        curl_multi_socket_action, curl_multi_assign,     curl_multi_info_read,
    };
    return true;
}

#else

/* Debian's builds with OpenSSL and with GnuTLS have the same functions; either will do. */
static const char *const NAMES[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};

/* In the order of the members of struct curl_library. */
static const char *const SYMBOLS[] = {
    "curl_global_init_mem",     "curl_global_cleanup",   "curl_easy_init",
    "curl_easy_cleanup",        "curl_easy_setopt",      "curl_easy_getinfo",
    "curl_easy_perform",        "curl_easy_strerror",    "curl_slist_append",
    "curl_slist_free_all",      "curl_multi_init",       "curl_multi_cleanup",
    "curl_multi_setopt",        "curl_multi_add_handle", "curl_multi_remove_handle",
    "curl_multi_socket_action", "curl_multi_assign",     "curl_multi_info_read",
};
_Static_assert(sizeof(SYMBOLS) / sizeof(SYMBOLS[0]) == sizeof(struct curl_library) / sizeof(void *),
               "a name for every member");

static void *open_any(void) {
    for (size_t i = 0; i < COUNT_OF(NAMES); i++) {
        void *handle = dlopen(NAMES[i], RTLD_NOW | RTLD_LOCAL);
        if (handle)
            return handle;
    }
    const char *reason = dlerror();
    log_error("fetch", "libcurl could not be opened: install the package libcurl4",
              LF_Z("reason", reason));
    return NULL;
}

static bool fill(void) {
    void *handle = open_any();
    if (handle == NULL)
        return false;
    void **member = (void **)&library;
    for (size_t i = 0; i < COUNT_OF(SYMBOLS); i++) {
        member[i] = dlsym(handle, SYMBOLS[i]);
        if (member[i] == NULL) {
            log_error("fetch", "libcurl is too old", LF_Z("symbol", SYMBOLS[i]));
            return false;
        }
    }
    return true;
}

#endif

/* --- its memory ----------------------------------------------------------------------------------- */

/* A header with a key is copied about in there, and what is freed keeps its bytes until somebody
 * else's come: so what libcurl gives back is overwritten. Any thread (it looks up names on its own). */
static void wipe_and_free(void *bytes) {
    if (bytes != NULL)
        explicit_bzero(bytes, malloc_usable_size(bytes));
    free(bytes);
}

/* realloc() itself would leave the old place as it was. */
static void *grow_wiped(void *bytes, size_t len) {
    size_t had = bytes != NULL ? malloc_usable_size(bytes) : 0;
    if (bytes != NULL && len <= had && len >= had / 2)
        return bytes;
    void *more = malloc(len);
    if (more != NULL && bytes != NULL) {
        memcpy(more, bytes, had < len ? had : len);
        wipe_and_free(bytes);
    }
    return more;
}

static CURLcode initialise(void) {
    return library.global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wipe_and_free, grow_wiped, strdup,
                                   calloc);
}

/* --- opening and closing -------------------------------------------------------------------------- */

const struct curl_library *curl_library_open(void) {
    if (is_initialised)
        return &library;
    if (is_missing)
        return NULL;
    if (!is_filled)
        is_filled = fill();
    if (!is_filled || initialise() != CURLE_OK) {
        is_missing = true;
        return NULL;
    }
    is_initialised = true;
    return &library;
}

void curl_library_close(void) {
    if (is_initialised)
        library.global_cleanup();
    is_initialised = false;
}
