/*
 * An answer that is a file of the data folder: an archive of some gigabytes must not be in memory.
 *
 * The file is mapped, and the mapping is queued as any other bytes of an owner: the connection's
 * write hands the kernel a piece at a time as the peer takes it, and the kernel copies from its own
 * cache. Nothing of ours reads the bytes (but those of a file so small that it is copied at once),
 * so a disk that fails in between ends the connection (EFAULT) and not the process (SIGBUS). What
 * is cold is read while the loop waits, a few milliseconds for what one write takes; for a file
 * that was made within a day that is the exception.
 *
 * The file must not be cut or written while it is sent. Removing its name is fine.
 */
#include "net/http.h"

#include "base/check.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"

struct mapping {
    void *at;
    size_t len;
};

static void unmap(void *owner) {
    struct mapping *mapping = owner;
    munmap(mapping->at, mapping->len);
    free(mapping);
}

/* NULL when it is no plain file with something in it. */
static struct mapping *map_file(const char *path) {
    struct stat info;
    void *at = MAP_FAILED;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return NULL;
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0)
        at = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (at == MAP_FAILED)
        return NULL;
    (void)madvise(at, (size_t)info.st_size, MADV_SEQUENTIAL);
    struct mapping *mapping = malloc(sizeof *mapping);
    BUG_IF(mapping == NULL);
    *mapping = (struct mapping){at, (size_t)info.st_size};
    return mapping;
}

bool reply_file(struct request *request, struct str content_type, const char *path,
                const char *name) {
    struct mapping *mapping = map_file(path);
    if (mapping == NULL)
        return false;
    reply_header(request, "Content-Disposition",
                 str_printf(request->arena, "attachment; filename=\"%s\"", name));
    reply_now(exchange_of(request), 200, content_type, str_of(mapping->at, mapping->len), unmap,
              mapping);
    return true;
}
