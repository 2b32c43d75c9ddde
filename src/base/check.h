/* Assertions about ourselves, in release builds too. Never about input: input has errors, we have
 * bugs. */
#pragma once

#include <stdint.h>

/* Prints file, line and the reason as one log line and stops the process. Restart is safe: what was
 * acknowledged is on disk. */
_Noreturn void bug_at(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define BUG(...) bug_at(__FILE__, __LINE__, __VA_ARGS__)
#define BUG_IF(condition)                                 \
    do {                                                  \
        if (__builtin_expect(!!(condition), 0))           \
            bug_at(__FILE__, __LINE__, "%s", #condition); \
    } while (0)

/* Long-lived structs begin with `uint32_t magic`; a void pointer that comes back from a library is
 * checked by it. */
#define MAGIC_CHECK(pointer, value) BUG_IF((pointer) == 0 || (pointer)->magic != (value))

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define CONTAINER_OF(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))
