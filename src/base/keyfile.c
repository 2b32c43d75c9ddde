/*
 * The file is made with O_EXCL and 0600 under a name of its own, synced, and only then linked as
 * DIR/key: a crash leaves either no key or a whole one, and at worst a file beside it that nobody
 * reads. A file of another size is not repaired: guessing would lose every secret that is sealed.
 */
#include "base/keyfile.h"

#include "base/check.h"
#include "base/crypto.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"

#define KEY_BYTES 32

static uint8_t key[KEY_BYTES];
static bool is_open;

static enum err complain(const char *message, const char *path, int code) {
    log_error("keyfile", message, LF_Z("path", path),
              LF_Z("reason", code ? strerror(code) : "see the message"));
    return E_STORAGE;
}

static bool write_whole(int fd, const uint8_t *bytes, size_t len) {
    while (len > 0) {
        ssize_t wrote = write(fd, bytes, len);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return false;
        bytes += wrote;
        len -= (size_t)wrote;
    }
    return fsync(fd) == 0;
}

static void sync_directory(const char *directory) {
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fsync(fd) != 0)
        log_warn("keyfile", "the folder could not be synced", LF_Z("path", directory));
    close(fd);
}

/* link(2) and not rename(2): of two processes that start at once, one makes the key and the other
 * reads it. */
static enum err make(const char *directory, const char *path) {
    char fresh[4096];
    uint8_t bytes[KEY_BYTES];
    snprintf(fresh, sizeof fresh, "%s/key.XXXXXX", directory);
    int fd = mkostemp(fresh, O_CLOEXEC);
    if (fd < 0)
        return complain("the key file could not be made", fresh, errno);
    crypto_random(bytes, sizeof bytes);
    bool is_written = write_whole(fd, bytes, sizeof bytes);
    int code = is_written ? 0 : errno;
    close(fd);
    explicit_bzero(bytes, sizeof bytes);
    if (is_written && link(fresh, path) != 0 && errno != EEXIST)
        code = errno;
    unlink(fresh);
    sync_directory(directory);
    return code ? complain("the key file could not be written", path, code) : E_OK;
}

static enum err check_mode(int fd, const char *path) {
    struct stat info;
    if (fstat(fd, &info) != 0)
        return complain("the key file could not be examined", path, errno);
    if (!S_ISREG(info.st_mode) || info.st_size != KEY_BYTES)
        return complain("the key file is damaged: it must be a file of 32 bytes", path, 0);
    if ((info.st_mode & 077) == 0)
        return E_OK;
    complain("the key file can be read by others: chmod 600 it", path, 0);
    return E_DENIED;
}

static enum err read_whole(int fd, const char *path) {
    size_t len = 0;
    while (len < KEY_BYTES) {
        ssize_t got = read(fd, key + len, KEY_BYTES - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return complain("the key file could not be read", path, got < 0 ? errno : 0);
        len += (size_t)got;
    }
    is_open = true;
    return E_OK;
}

enum err keyfile_open(const char *directory) {
    char path[4096];
    int len = snprintf(path, sizeof path, "%s/key", directory);
    if (len < 0 || (size_t)len >= sizeof path - 32)
        return complain("the path of the data folder is too long", directory, 0);
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        enum err err = make(directory, path);
        if (err)
            return err;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return complain("the key file could not be opened", path, errno);
    enum err err = check_mode(fd, path);
    if (err == E_OK)
        err = read_whole(fd, path);
    close(fd);
    return err;
}

const uint8_t *keyfile_key(void) {
    BUG_IF(!is_open);
    return key;
}

/* --- what is sealed ----------------------------------------------------------------------------- */

enum err keyfile_unseal(struct arena *arena, struct str context, struct str sealed,
                        struct str *secret) {
    arena_wipe_on_release(arena); /* with what is made of it: headers, lines */
    return crypto_open(arena, keyfile_key(), context, sealed, secret) == E_OK ? E_OK : E_DENIED;
}
