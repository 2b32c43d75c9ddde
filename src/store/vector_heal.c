/*
 * What happens when the files of the vectors are damaged.
 *
 * SQLite is the truth and everything here can be made again from it, so damage is not a reason to
 * refuse: the environment is set aside as vectors.broken-<time> and begun anew.
 *
 * A page that the file does not have, or a length in a damaged page, leads LMDB behind the end of
 * the file and the process to SIGBUS. So a child process opens the environment first, compares the
 * file's length with what LMDB believes, and looks at every level of its tree; if it dies or is
 * told of damage, this process does not touch the file. That costs a fork of a small process,
 * 0.5 ms at start, and only when there is something to check. Damage that a search finds later is
 * remembered in a file `damaged`, and the next start begins anew.
 */
#include "store/vector_inside.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/banned.h"

/* What a good environment never answers. */
bool vector_is_damage(int result) {
    switch (result) {
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_VERSION_MISMATCH:
    case MDB_INVALID:
    case MDB_INCOMPATIBLE:
        return true;
    default:
        return false;
    }
}

/* Opens it in a child, see the head. True also when no child could be made: then this process finds
 * out itself. */
bool vector_is_sound(const char *path, int (*open_and_check)(const char *path)) {
    char data_path[PATH_MAX + 16], mark[PATH_MAX + 16];
    int status = 0;
    snprintf(data_path, sizeof(data_path), "%s/data.mdb", path);
    snprintf(mark, sizeof(mark), "%s/damaged", path);
    if (access(mark, F_OK) == 0)
        return false;
    if (access(data_path, F_OK) != 0)
        return true;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGBUS, SIG_DFL);
        signal(SIGSEGV, SIG_DFL);
        _exit(vector_is_damage(open_and_check(path)) ? 1 : 0);
    }
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return child < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

bool vector_set_aside(const char *path) {
    char aside[PATH_MAX + 32];
    snprintf(aside, sizeof(aside), "%s.broken-%lld", path, (long long)clock_now_ms());
    log_warn("store", "vectors were damaged and are set aside; they will be made again",
             LF_Z("path", aside));
    return rename(path, aside) == 0;
}

void vector_mark_damaged(const char *path, int result) {
    char mark[PATH_MAX + 16];
    snprintf(mark, sizeof(mark), "%s/damaged", path);
    int fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    log_error("store", "vectors are damaged; the next start makes them again",
              LF_Z("reason", mdb_strerror(result)));
}
