/*
 * Finds and maps the weights.
 *
 * Built "inside", they are a section of the binary (CMake option TROUPE_EMBEDDER), whose address is
 * embedder_inside; built otherwise, that symbol is weak and NULL, and the unit tests and fuzzers
 * that link this library carry no 23 MB each. "Beside" is a file named troupe.weights in the
 * binary's folder, or any path by the setting embedder.weights.
 *
 * A file is judged by its first bytes and its length. It has no pointers and no offsets: whatever
 * its numbers are, they are only multiplied. It must not be cut while it is mapped, as no binary or
 * library may be; a new version is renamed over it.
 */
#include "embedder_file.h"

#include "base/check.h"
#include "base/log.h"
#include "model/embed.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"

#define BESIDE_NAME "troupe.weights"

extern const struct embedder_weights embedder_inside __attribute__((weak));

struct embedder_settings embedder_settings;

static bool is_whole(const struct embedder_weights *weights) {
    return memcmp(weights->magic, EMBEDDER_MAGIC, sizeof(weights->magic)) == 0 &&
           weights->version == EMBEDDER_VERSION && weights->bytes == sizeof(*weights);
}

const struct embedder_weights *embedder_file_map(const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    if (file < 0)
        return NULL;
    const struct embedder_weights *weights = MAP_FAILED;
    if (fstat(file, &info) == 0 && S_ISREG(info.st_mode) && info.st_size == sizeof(*weights))
        weights = mmap(NULL, sizeof(*weights), PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    if (weights == MAP_FAILED)
        return NULL;
    if (is_whole(weights))
        return weights;
    munmap((void *)(uintptr_t)weights, sizeof(*weights));
    return NULL;
}

static const struct embedder_weights *map_setting(void) {
    char path[PATH_MAX];
    struct str set = embedder_settings.weights;
    if (set.len >= sizeof(path))
        return NULL;
    memcpy(path, set.at, set.len);
    path[set.len] = '\0';
    const struct embedder_weights *weights = embedder_file_map(path);
    if (weights == NULL)
        log_error("embedder", "weights could not be used", LF_STR("path", set));
    return weights;
}

static const struct embedder_weights *map_beside(void) {
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - sizeof(BESIDE_NAME));
    while (len > 0 && path[len - 1] != '/')
        len--;
    if (len <= 0)
        return NULL;
    memcpy(path + len, BESIDE_NAME, sizeof(BESIDE_NAME));
    return embedder_file_map(path);
}

const struct embedder_weights *embedder_file_find(void) {
    static bool has_looked;
    static const struct embedder_weights *found;
    if (has_looked)
        return found;
    has_looked = true;
    if (embedder_settings.weights.len > 0)
        found = map_setting();
    else if (&embedder_inside != NULL && is_whole(&embedder_inside))
        found = &embedder_inside;
    else
        found = map_beside();
    return found;
}

/* What every text needs; of the words only some rows are ever touched. */
void embedder_file_wake(const struct embedder_weights *weights) {
    size_t len = offsetof(struct embedder_weights, word);
    madvise((void *)(uintptr_t)weights, len / EMBEDDER_PAGE * EMBEDDER_PAGE, MADV_WILLNEED);
}

/* The struct begins and ends with a page, and the mapping is private and never written: what is
 * dropped is read again from the file. */
void embedder_file_rest(const struct embedder_weights *weights) {
    madvise((void *)(uintptr_t)weights, sizeof(*weights), MADV_DONTNEED);
}
