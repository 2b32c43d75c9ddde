/*
 * Stands between a program and its disk, and lets calls fail: LD_PRELOAD=libfailing_disk.so, with
 * FAILING_DISK naming a file of five numbers that is mapped, so that a test writes them while the
 * program runs, and FAILING_DISK_FOLDER the folder whose files are meant.
 *
 * Calls are counted by kind: those that take room (write, pwrite, ftruncate, fallocate), those that
 * make it last (fsync, fdatasync), those that name (rename, link, mkdir, an open that makes a file).
 * Only files below the folder count, so sockets and the log never fail. `fails_in` lets one call
 * fail, or every call until it is set back; the call is not made then.
 *
 * All eight bytes, in the machine's order. tests/api/disk.test.js is who uses it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { TAKES_ROOM = 1, MAKES_LAST = 2, NAMES = 4 };

struct control {
    _Atomic int64_t kinds;    /* which calls may fail, enum kind */
    _Atomic int64_t error;    /* the errno that they give */
    _Atomic int64_t fails_in; /* n: the n-th such call fails; -1: all do; 0: none */
    _Atomic int64_t calls;    /* of these kinds, so far */
    _Atomic int64_t failures; /* so far */
};

#define FD_LIMIT 4096

static struct control nothing;
static struct control *control = &nothing;
static const char *folder;
static size_t folder_len;
static _Atomic bool is_ours[FD_LIMIT]; /* descriptors of files below the folder */

__attribute__((constructor)) static void map_file(void) {
    const char *path = getenv("FAILING_DISK");
    folder = getenv("FAILING_DISK_FOLDER");
    if (path == NULL || folder == NULL)
        return;
    folder_len = strlen(folder);
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    int fd = real(path, O_RDWR | O_CLOEXEC);
    void *at = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd < 0 || at == MAP_FAILED)
        abort();
    control = at;
}

static bool strikes(enum kind kind) {
    if (!(atomic_load(&control->kinds) & kind))
        return false;
    atomic_fetch_add(&control->calls, 1);
    int64_t left = atomic_load(&control->fails_in);
    while (left > 0 && !atomic_compare_exchange_weak(&control->fails_in, &left, left - 1))
        ;
    if (left != 1 && left >= 0)
        return false;
    atomic_fetch_add(&control->failures, 1);
    errno = (int)atomic_load(&control->error);
    return true;
}

static bool is_below(const char *path) {
    return folder != NULL && strncmp(path, folder, folder_len) == 0 &&
           (path[folder_len] == '/' || path[folder_len] == '\0');
}

/* Not every close is seen (libuv asks the kernel itself), so a socket may have the number of a file
 * that was. */
static bool is_meant(int fd) {
    struct stat info;
    return fd >= 0 && fd < FD_LIMIT && atomic_load(&is_ours[fd]) && fstat(fd, &info) == 0 &&
           (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode));
}

/* --- descriptors ------------------------------------------------------------------------------ */

/* Files that are written, and folders: they are synced as well. */
static int note(int fd, const char *path, int flags) {
    bool may_last = (flags & O_ACCMODE) != O_RDONLY || (flags & O_DIRECTORY);
    if (fd >= 0 && fd < FD_LIMIT)
        atomic_store(&is_ours[fd], is_below(path) && may_last);
    return fd;
}

/* Making what is not there yet. */
static bool making_strikes(const char *path, enum kind kind) {
    struct stat info;
    return is_below(path) && stat(path, &info) != 0 && strikes(kind);
}

#define REAL(name)                   \
    static __typeof__(&(name)) real; \
    if (real == NULL)                \
    real = (__typeof__(&(name)))dlsym(RTLD_NEXT, #name)

#define OPEN(name)                                            \
    int name(const char *path, int flags, ...) {              \
        REAL(name);                                           \
        va_list more;                                         \
        va_start(more, flags);                                \
        mode_t mode = va_arg(more, mode_t);                   \
        va_end(more);                                         \
        if ((flags & O_CREAT) && making_strikes(path, NAMES)) \
            return -1;                                        \
        return note(real(path, flags, mode), path, flags);    \
    }
OPEN(open)
OPEN(open64)

int close(int fd) {
    REAL(close);
    if (fd >= 0 && fd < FD_LIMIT)
        atomic_store(&is_ours[fd], false);
    return real(fd);
}

/* --- what takes room, lasts, names ------------------------------------------------------------- */

#define PASS(type, name, params, args, kind) \
    type name params {                       \
        REAL(name);                          \
        if (is_meant(fd) && strikes(kind))   \
            return -1;                       \
        return real args;                    \
    }
PASS(ssize_t, write, (int fd, const void *at, size_t len), (fd, at, len), TAKES_ROOM)
PASS(ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count),
     TAKES_ROOM)
PASS(ssize_t, pwrite, (int fd, const void *at, size_t len, off_t to), (fd, at, len, to), TAKES_ROOM)
PASS(ssize_t, pwrite64, (int fd, const void *at, size_t len, off64_t to), (fd, at, len, to),
     TAKES_ROOM)
PASS(ssize_t, pwritev, (int fd, const struct iovec *parts, int count, off_t to),
     (fd, parts, count, to), TAKES_ROOM)
PASS(ssize_t, pwritev64, (int fd, const struct iovec *parts, int count, off64_t to),
     (fd, parts, count, to), TAKES_ROOM)
PASS(int, ftruncate, (int fd, off_t len), (fd, len), TAKES_ROOM)
PASS(int, ftruncate64, (int fd, off64_t len), (fd, len), TAKES_ROOM)
PASS(int, fsync, (int fd), (fd), MAKES_LAST)
PASS(int, fdatasync, (int fd), (fd), MAKES_LAST)

int posix_fallocate(int fd, off_t from, off_t len) {
    REAL(posix_fallocate);
    return is_meant(fd) && strikes(TAKES_ROOM) ? errno : real(fd, from, len);
}

int rename(const char *from, const char *to) {
    REAL(rename);
    return is_below(to) && strikes(NAMES) ? -1 : real(from, to);
}

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    return making_strikes(path, NAMES) ? -1 : real(path, mode);
}

int link(const char *from, const char *to) {
    REAL(link);
    return is_below(to) && strikes(NAMES) ? -1 : real(from, to);
}
