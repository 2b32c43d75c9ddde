/*
 * Blobs in a folder: the stand-in behind store/blob.h, and for most houses the real thing.
 *
 *     DIR/blobs/ab/cdef...   the bytes whose SHA-256 in hex is abcdef...
 *     DIR/blobs/new/...      being written; emptied at start
 *
 * A put writes to `new`, syncs the file, renames it to its name and syncs the folder, so a key that
 * was given out survives the power. The name is the content: two puts of the same bytes meet in one
 * file, whoever is last changes nothing.
 *
 * A file's time of change is the moment of its last put, so that the sweep of what nobody refers to
 * (store/sweep.c) can leave alone what somebody is just about to refer to. One lock stands between
 * a put that finds its file there and a remove of that file.
 *
 * Keys come from rows that came from requests, so a key that is not 64 hex digits finds nothing,
 * and no path is built from it.
 */
#include "store/blob.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/id.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"

#define BLOB_LIMIT_BYTES ((off_t)256 << 20) /* what an arena takes; routes allow far less */
#define PATH_ROOM        (PATH_MAX + 128)

static char root[PATH_MAX]; /* DIR/blobs */
static pthread_mutex_t removing = PTHREAD_MUTEX_INITIALIZER;

static enum err failed(const char *doing, const char *path) {
    log_error("disk", "blob store failed", LF_Z("doing", doing), LF_Z("path", path),
              LF_Z("reason", strerror(errno)));
    return E_STORAGE;
}

/* --- names ------------------------------------------------------------------------------------ */

static bool is_key(struct str key) {
    if (key.len != BLOB_KEY_LEN)
        return false;
    for (size_t i = 0; i < key.len; i++)
        if (!((key.at[i] >= '0' && key.at[i] <= '9') || (key.at[i] >= 'a' && key.at[i] <= 'f')))
            return false;
    return true;
}

static void name_folder(struct str key, char path[PATH_ROOM]) {
    snprintf(path, PATH_ROOM, "%s/%.2s", root, key.at);
}

static void name_file(struct str key, char path[PATH_ROOM]) {
    snprintf(path, PATH_ROOM, "%s/%.2s/%.62s", root, key.at, key.at + 2);
}

static void make_key(struct str bytes, char key[BLOB_KEY_LEN + 1]) {
    static const char digits[] = "0123456789abcdef";
    uint8_t hash[SHA256_BYTES];
    crypto_sha256(bytes, hash);
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        key[2 * i] = digits[hash[i] >> 4];
        key[2 * i + 1] = digits[hash[i] & 15];
    }
    key[BLOB_KEY_LEN] = '\0';
}

/* --- the folder ------------------------------------------------------------------------------- */

/* What a crash left half written. */
static void empty_new(const char *path) {
    DIR *folder = opendir(path);
    if (folder == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
}

static bool make_folder(const char *path) {
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

void blob_disk_directory(const char *directory) {
    char path[PATH_ROOM];
    if (snprintf(root, sizeof(root), "%s/blobs", directory) >= (int)sizeof(root))
        BUG("the data folder has too long a name");
    snprintf(path, sizeof(path), "%s/new", root);
    /* The data folder too: nobody says that the database comes first. */
    if (!make_folder(directory) || !make_folder(root) || !make_folder(path))
        (void)failed("making the folder",
                     root); /* every put will say it again, reads may still work */
    empty_new(path);
}

static enum err sync_folder(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return failed("opening the folder", path);
    enum err err = fsync(fd) == 0 ? E_OK : failed("syncing the folder", path);
    close(fd);
    return err;
}

/* One whose making could not be synced goes again, or the next put would take it for made. */
static enum err ensure_folder(const char *path) {
    if (mkdir(path, 0700) != 0)
        return errno == EEXIST ? E_OK : failed("making the folder", path);
    enum err err = sync_folder(root);
    if (err != E_OK)
        rmdir(path);
    return err;
}

/* --- put -------------------------------------------------------------------------------------- */

static enum err write_bytes(int fd, struct str bytes, const char *path) {
    while (bytes.len > 0) {
        ssize_t len = write(fd, bytes.at, bytes.len);
        if (len < 0 && errno == EINTR)
            continue;
        if (len <= 0)
            return failed("writing", path);
        bytes = str_slice(bytes, (size_t)len, bytes.len);
    }
    return E_OK;
}

static struct timespec now_on_our_clock(void) {
    int64_t now_ms = clock_now_ms();
    return (struct timespec){.tv_sec = now_ms / 1000, .tv_nsec = now_ms % 1000 * 1000000};
}

static enum err stamp(int fd, const char *path) {
    struct timespec now = now_on_our_clock(), times[2] = {now, now};
    return futimens(fd, times) == 0 ? E_OK : failed("stamping", path);
}

static enum err write_new(struct str bytes, const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return failed("opening", path);
    enum err err = write_bytes(fd, bytes, path);
    if (err == E_OK)
        err = stamp(fd, path);
    if (err == E_OK && fsync(fd) != 0)
        err = failed("syncing", path);
    if (close(fd) != 0 && err == E_OK)
        err = failed("closing", path);
    return err;
}

static bool is_whole(const char *path, size_t len) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && (size_t)info.st_size == len;
}

/* True when the bytes are there already, and then counts as a put of now. */
static bool put_again(const char *path, size_t len) {
    struct timespec now = now_on_our_clock(), times[2] = {now, now};
    pthread_mutex_lock(&removing);
    bool is_there = is_whole(path, len) && utimensat(AT_FDCWD, path, times, 0) == 0;
    pthread_mutex_unlock(&removing);
    return is_there;
}

static enum err disk_put(struct str bytes, char key[BLOB_KEY_LEN + 1]) {
    char folder[PATH_ROOM], path[PATH_ROOM], fresh[PATH_ROOM];
    make_key(bytes, key);
    struct str key_text = {key, BLOB_KEY_LEN};
    name_folder(key_text, folder);
    name_file(key_text, path);
    if (put_again(path, bytes.len))
        return sync_folder(
            folder); /* another put may have renamed it a moment ago and not synced yet */
    snprintf(fresh, sizeof(fresh), "%s/new/%s", root, id_text(id_new()).at);
    enum err err = ensure_folder(folder);
    if (err == E_OK)
        err = write_new(bytes, fresh);
    if (err == E_OK && rename(fresh, path) != 0)
        err = failed("renaming", path);
    if (err != E_OK) {
        unlink(fresh);
        return err;
    }
    return sync_folder(folder);
}

/* --- load and remove -------------------------------------------------------------------------- */

static enum err read_bytes(int fd, char *at, size_t len, const char *path) {
    while (len > 0) {
        ssize_t part = read(fd, at, len);
        if (part < 0 && errno == EINTR)
            continue;
        if (part <= 0)
            return failed("reading", path);
        at += part;
        len -= (size_t)part;
    }
    return E_OK;
}

static enum err load_open(struct arena *arena, int fd, const char *path, struct str *bytes) {
    struct stat info;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size > BLOB_LIMIT_BYTES)
        return failed("looking at", path);
    char *at = arena_alloc(arena, (size_t)info.st_size + 1);
    enum err err = read_bytes(fd, at, (size_t)info.st_size, path);
    *bytes = (struct str){at, (size_t)info.st_size};
    return err;
}

static enum err disk_load(struct arena *arena, struct str key, struct str *bytes) {
    char path[PATH_ROOM];
    if (!is_key(key))
        return E_ABSENT;
    name_file(key, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? E_ABSENT : failed("opening", path);
    enum err err = load_open(arena, fd, path, bytes);
    close(fd);
    return err;
}

static int64_t put_at_ms(const struct stat *info) {
    return (int64_t)info->st_mtim.tv_sec * 1000 + info->st_mtim.tv_nsec / 1000000;
}

static enum err remove_locked(const char *path, int64_t before_ms) {
    struct stat info;
    if (stat(path, &info) != 0)
        return errno == ENOENT ? E_ABSENT : failed("looking at", path);
    if (put_at_ms(&info) >= before_ms)
        return E_CONFLICT;
    return unlink(path) == 0 ? E_OK : failed("removing", path);
}

static enum err disk_remove(struct str key, int64_t before_ms) {
    char path[PATH_ROOM];
    if (!is_key(key))
        return E_ABSENT;
    name_file(key, path);
    pthread_mutex_lock(&removing);
    enum err err = remove_locked(path, before_ms);
    pthread_mutex_unlock(&removing);
    return err;
}

/* --- all of them ------------------------------------------------------------------------------ */

static void tell(int folder, const char *shelf, const char *name, blob_each_fn each, void *ctx) {
    char key[2 + NAME_MAX + 1];
    struct stat file;
    int len = snprintf(key, sizeof(key), "%s%s", shelf, name);
    struct blob_info info = {.key = str_of(key, (size_t)len)};
    if (!is_key(info.key) || fstatat(folder, name, &file, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(file.st_mode))
        return;
    info.bytes = file.st_size;
    info.put_at_ms = put_at_ms(&file);
    each(&info, ctx);
}

static enum err disk_each(int shelf, blob_each_fn each, void *ctx) {
    char name[3], path[PATH_ROOM];
    snprintf(name, sizeof(name), "%02x", (unsigned)shelf & 255);
    snprintf(path, sizeof(path), "%s/%s", root, name);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return errno == ENOENT ? E_OK : failed("opening the folder", path);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        tell(dirfd(folder), name, entry->d_name, each, ctx);
    closedir(folder);
    return E_OK;
}

const struct blob_port blob_disk = {
    .name = "disk",
    .pool_put = disk_put,
    .load = disk_load,
    .pool_remove = disk_remove,
    .pool_each = disk_each,
    .use_directory = blob_disk_directory,
};
