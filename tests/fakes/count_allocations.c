/*
 * Stands between a program and its allocator, and counts: LD_PRELOAD=libcount_allocations.so, with
 * COUNT_ALLOCATIONS naming a file that is mapped and can be read while the program runs.
 *
 * The file holds two numbers of eight bytes in the machine's order: calls of malloc, calloc,
 * realloc and their aligned kin, and the bytes they were asked for. Frees are not counted: what is
 * asked for is what costs. All threads count into the same two numbers.
 *
 * The work itself is done by glibc under its second names (__libc_malloc ...), so that nothing has
 * to be looked up with dlsym, which allocates itself. Not for a program under AddressSanitizer,
 * which has an allocator of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct counts {
    _Atomic uint64_t calls;
    _Atomic uint64_t bytes;
};

void *__libc_malloc(size_t len);
void *__libc_calloc(size_t count, size_t len);
void *__libc_realloc(void *at, size_t len);
void *__libc_memalign(size_t alignment, size_t len);

/* What is allocated before the file is mapped is counted here, and nobody asks. */
static struct counts early;
static struct counts *counts = &early;

__attribute__((constructor)) static void map_file(void) {
    const char *path = getenv("COUNT_ALLOCATIONS");
    if (path == NULL)
        return;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    if (ftruncate(fd, sizeof *counts) == 0) {
        void *at = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (at != MAP_FAILED)
            counts = at;
    }
    close(fd);
}

static void count(size_t len) {
    atomic_fetch_add_explicit(&counts->calls, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counts->bytes, len, memory_order_relaxed);
}

void *malloc(size_t len) {
    count(len);
    return __libc_malloc(len);
}

void *calloc(size_t items, size_t len) {
    count(items * len);
    return __libc_calloc(items, len);
}

void *realloc(void *at, size_t len) {
    count(len);
    return __libc_realloc(at, len);
}

void *memalign(size_t alignment, size_t len) {
    count(len);
    return __libc_memalign(alignment, len);
}

void *aligned_alloc(size_t alignment, size_t len) {
    return memalign(alignment, len);
}

int posix_memalign(void **out, size_t alignment, size_t len) {
    void *at = memalign(alignment, len);
    if (at == NULL)
        return ENOMEM;
    *out = at;
    return 0;
}
