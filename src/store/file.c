/*
 * The files under SQLite: its own file layer, but for two things.
 *
 * 1. One mapping of the database. SQLite maps a file once per connection, and gives the mapping up
 *    whenever somebody else has committed: a turn of the loop that follows a commit asked the size,
 *    mapped, and took a page fault for everything that it read, a tenth of what a reply's first
 *    words cost. Here the process maps the file once, beyond its end, and every connection reads
 *    there. That is as safe as SQLite's way: what is read lies below the end of the file, which is
 *    asked for again after each commit of others (xUnfetch without a page); a checkpoint changes
 *    only pages that nobody reads there any more; nobody ever cuts the file off (no VACUUM).
 *
 *    A mapping needs a descriptor, and closing any descriptor of a file lets go of all POSIX locks
 *    that the process has on it. So file_map() opens, maps and closes before the first connection.
 *
 * 2. The frames of a commit leave together. SQLite writes a page of the log and the 24 bytes before
 *    it one by one: two hundred calls for a batch of thirty messages. Here what follows without a
 *    gap is gathered, and written when the gathering place is full, when something else is asked of
 *    the file, and always before it is synced. Nobody else can look in between: readers learn of
 *    frames from the log's index, which a commit changes after its sync (synchronous=FULL); and the
 *    writer itself reads through here.
 *
 * SQLite's own file stays in place with its functions; what is ours lies behind it.
 */
#include "store/file.h"

#include "base/check.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"

#define MAP_BYTES    ((size_t)256 << 20) /* of addresses; what is beyond is read */
#define GATHER_BYTES (64 * 1024)         /* SQLite's file layer takes less than 128 KiB at once */

/* Behind SQLite's own file. */
struct extra {
    sqlite3_int64 size; /* of a database: it reaches at least so far */
    char *gathered;     /* of a log: not written yet; NULL: nothing */
    int gathered_len;
    sqlite3_int64 gathered_at; /* where it goes */
};

/* What stands below, and its functions with ours among them; one set for each kind of file. */
struct kind {
    const sqlite3_io_methods *below;
    sqlite3_io_methods methods;
};

static sqlite3_vfs *below, layer;
static struct kind database, logs;

static struct {
    char *at; /* NULL: not mapped */
    dev_t device;
    ino_t inode;
} map;

static struct extra *extra_of(sqlite3_file *file) {
    size_t own = ((size_t)below->szOsFile + 15) & ~(size_t)15;
    return (struct extra *)(void *)((char *)file + own);
}

/* --- the mapping ------------------------------------------------------------------------------ */

enum err file_map(const char *path) {
    struct stat info;
    BUG_IF(map.at != NULL);
    int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || fstat(fd, &info) != 0) {
        if (fd >= 0)
            close(fd);
        return E_STORAGE;
    }
    void *at = mmap(NULL, MAP_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    map.at = at == MAP_FAILED ? NULL : at;
    map.device = info.st_dev;
    map.inode = info.st_ino;
    return E_OK;
}

void file_unmap(void) {
    if (map.at != NULL)
        munmap(map.at, MAP_BYTES);
    map.at = NULL;
}

void file_rest(void) {
    if (map.at != NULL)
        madvise(map.at, MAP_BYTES, MADV_DONTNEED);
}

static int fetch(sqlite3_file *file, sqlite3_int64 at, int len, void **page) {
    struct extra *extra = extra_of(file);
    *page = NULL;
    if (at + len > extra->size) {
        int result = database.below->xFileSize(file, &extra->size);
        if (result != SQLITE_OK)
            return result;
    }
    if (at + len <= extra->size && at + len <= (sqlite3_int64)MAP_BYTES)
        *page = map.at + at;
    return SQLITE_OK;
}

static int unfetch(sqlite3_file *file, sqlite3_int64 at, void *page) {
    (void)at;
    if (page == NULL)
        extra_of(file)->size = 0;
    return SQLITE_OK;
}

/* --- the log ---------------------------------------------------------------------------------- */

static int write_gathered(sqlite3_file *file) {
    struct extra *extra = extra_of(file);
    int len = extra->gathered_len;
    extra->gathered_len = 0; /* also when it fails: then SQLite rolls back */
    return len == 0 ? SQLITE_OK
                    : logs.below->xWrite(file, extra->gathered, len, extra->gathered_at);
}

static int log_write(sqlite3_file *file, const void *at, int len, sqlite3_int64 to) {
    struct extra *extra = extra_of(file);
    bool follows = to == extra->gathered_at + extra->gathered_len;
    if (!follows || extra->gathered_len + len > GATHER_BYTES) {
        int result = write_gathered(file);
        if (result != SQLITE_OK)
            return result;
    }
    if (extra->gathered == NULL && (extra->gathered = malloc(GATHER_BYTES)) == NULL)
        return logs.below->xWrite(file, at, len, to);
    if (len > GATHER_BYTES)
        return logs.below->xWrite(file, at, len, to);
    if (extra->gathered_len == 0)
        extra->gathered_at = to;
    memcpy(extra->gathered + extra->gathered_len, at, (size_t)len);
    extra->gathered_len += len;
    return SQLITE_OK;
}

static int log_read(sqlite3_file *file, void *at, int len, sqlite3_int64 from) {
    int result = write_gathered(file);
    return result != SQLITE_OK ? result : logs.below->xRead(file, at, len, from);
}

static int log_truncate(sqlite3_file *file, sqlite3_int64 size) {
    int result = write_gathered(file);
    return result != SQLITE_OK ? result : logs.below->xTruncate(file, size);
}

static int log_size(sqlite3_file *file, sqlite3_int64 *size) {
    int result = write_gathered(file);
    return result != SQLITE_OK ? result : logs.below->xFileSize(file, size);
}

static int log_sync(sqlite3_file *file, int flags) {
    struct extra *extra = extra_of(file);
    int result = write_gathered(file);
    free(extra->gathered);
    extra->gathered = NULL;
    return result != SQLITE_OK ? result : logs.below->xSync(file, flags);
}

static int log_close(sqlite3_file *file) {
    struct extra *extra = extra_of(file);
    int written = write_gathered(file);
    free(extra->gathered);
    extra->gathered = NULL;
    int result = logs.below->xClose(file);
    return written != SQLITE_OK ? written : result;
}

/* --- the layer -------------------------------------------------------------------------------- */

static bool is_mapped(const char *path) {
    struct stat info;
    return map.at != NULL && stat(path, &info) == 0 && info.st_dev == map.device &&
           info.st_ino == map.inode;
}

/* Takes over a file whose functions are those that the first one of its kind had. */
static void take_over(sqlite3_file *file, struct kind *kind) {
    if (kind->below == NULL) {
        kind->below = file->pMethods;
        kind->methods = *file->pMethods;
        if (kind == &database) {
            kind->methods.xFetch = fetch;
            kind->methods.xUnfetch = unfetch;
        } else {
            kind->methods.xWrite = log_write;
            kind->methods.xRead = log_read;
            kind->methods.xTruncate = log_truncate;
            kind->methods.xFileSize = log_size;
            kind->methods.xSync = log_sync;
            kind->methods.xClose = log_close;
        }
    }
    if (file->pMethods == kind->below && kind->below->iVersion >= 3)
        file->pMethods = &kind->methods;
}

static int open_file(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags,
                     int *out_flags) {
    (void)vfs;
    int result = below->xOpen(below, path, file, flags, out_flags);
    if (result != SQLITE_OK || file->pMethods == NULL)
        return result;
    *extra_of(file) = (struct extra){0};
    if ((flags & SQLITE_OPEN_WAL) != 0)
        take_over(file, &logs);
    else if ((flags & SQLITE_OPEN_MAIN_DB) != 0 && is_mapped(path))
        take_over(file, &database);
    return SQLITE_OK;
}

void file_layer_register(void) {
    below = sqlite3_vfs_find(NULL);
    BUG_IF(below == NULL);
    layer = *below;
    layer.zName = FILE_LAYER;
    layer.szOsFile = ((below->szOsFile + 15) & ~15) + (int)sizeof(struct extra);
    layer.xOpen = open_file;
    layer.pNext = NULL;
    BUG_IF(sqlite3_vfs_register(&layer, 0) != SQLITE_OK);
}
