/* A folder for one test, and a clock that it can move. */
#pragma once

#include "base/clock.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char scratch[PATH_MAX / 2];
static int scratch_clock_fd = -1;

static inline int scratch_remove_one(const char *path, const struct stat *info, int type,
                                     struct FTW *where) {
    (void)info, (void)type, (void)where;
    return remove(path);
}

static inline void scratch_make(void) {
    snprintf(scratch, sizeof(scratch), "%s/troupe-test-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (mkdtemp(scratch) == NULL)
        abort();
}

static inline void scratch_remove(void) {
    nftw(scratch, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Path of a file in the folder; good until the fourth call after it. */
static inline const char *scratch_path(const char *name) {
    static char paths[4][PATH_MAX];
    static int next;
    next = (next + 1) % 4;
    snprintf(paths[next], sizeof(paths[next]), "%s/%s", scratch, name);
    return paths[next];
}

static inline void scratch_move_clock(int64_t by_ms) {
    if (scratch_clock_fd < 0 || pwrite(scratch_clock_fd, &by_ms, sizeof(by_ms), 0) != sizeof(by_ms))
        abort();
}

/* Before loop_init. */
static inline void scratch_take_clock(void) {
    const char *path = scratch_path("clock");
    scratch_clock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    scratch_move_clock(0);
    setenv("TROUPE_TEST_CLOCK", path, 1);
    clock_init();
}

static inline void scratch_leave_clock(void) {
    scratch_move_clock(0);
    (void)clock_now_ms(); /* takes the offset back */
    close(scratch_clock_fd);
    unsetenv("TROUPE_TEST_CLOCK");
}
