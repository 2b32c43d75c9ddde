/*
 * A PDF is a program more than a text, and reading one is no work for this process. A child runs
 * pdftotext between two files that exist in memory only; it may use ten seconds of a processor, 512
 * MiB, no core file and no other files than those, and is killed when it takes longer than half a
 * minute. Its environment is empty but for the path.
 */
#include "character/pdf.h"

#include "base/check.h"
#include "character/document.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/banned.h"

#define CPU_SECONDS    10
#define WALL_MS        30000
#define LOOK_MS        20
#define MEMORY_BYTES   ((rlim_t)512 << 20)
#define EXIT_NO_READER 127 /* as a shell says it */

static bool write_all(int fd, struct str bytes) {
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.at, bytes.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes = str_slice(bytes, (size_t)n, bytes.len);
    }
    return true;
}

/* In the child: only what may be called between fork and exec in a program with threads. */
static void become_reader(int in, int out) {
    static char name[] = "pdftotext", quiet[] = "-q", encoding[] = "-enc", utf8[] = "UTF-8",
                no_breaks[] = "-nopgbrk", from[] = "-", to[] = "-",
                path[] = "PATH=/usr/local/bin:/usr/bin:/bin";
    char *const arguments[] = {name, quiet, encoding, utf8, no_breaks, from, to, NULL};
    char *const environment[] = {path, NULL};
    struct rlimit cpu = {CPU_SECONDS, CPU_SECONDS}, memory = {MEMORY_BYTES, MEMORY_BYTES};
    struct rlimit file = {DOCUMENT_TEXT_BYTES * 2, DOCUMENT_TEXT_BYTES * 2}, none = {0, 0};
    setrlimit(RLIMIT_CPU, &cpu);
    setrlimit(RLIMIT_AS, &memory);
    setrlimit(RLIMIT_FSIZE, &file);
    setrlimit(RLIMIT_CORE, &none);
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (dup2(in, 0) == 0 && dup2(out, 1) == 1 && dup2(nowhere, 2) == 2) {
        execve("/usr/bin/pdftotext", arguments, environment);
        execve("/usr/local/bin/pdftotext", arguments, environment);
    }
    _exit(EXIT_NO_READER);
}

static enum err wait_for(pid_t child) {
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    int status = 0;
    for (int waited_ms = 0; waited_ms < WALL_MS; waited_ms += LOOK_MS) {
        pid_t ended = waitpid(child, &status, WNOHANG);
        if (ended == child) {
            if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_READER)
                return E_ABSENT;
            return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? E_OK : E_INPUT;
        }
        if (ended < 0 && errno != EINTR)
            return E_INPUT;
        nanosleep(&pause, NULL);
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return E_TIMEOUT;
}

static enum err read_back(struct arena *arena, int fd, struct str *text) {
    off_t size = lseek(fd, 0, SEEK_END);
    if (size < 0)
        return E_INPUT;
    if ((size_t)size > DOCUMENT_TEXT_BYTES)
        return E_LIMIT;
    char *bytes = arena_alloc(arena, (size_t)size + 1);
    ssize_t n = pread(fd, bytes, (size_t)size, 0);
    *text = str_of(bytes, n > 0 ? (size_t)n : 0);
    return E_OK;
}

enum err pool_pdf_text(struct arena *arena, struct str bytes, struct str *text) {
    int in = memfd_create("document", MFD_CLOEXEC), out = memfd_create("text", MFD_CLOEXEC);
    enum err err = E_STORAGE;
    if (in >= 0 && out >= 0 && write_all(in, bytes) && lseek(in, 0, SEEK_SET) == 0) {
        pid_t child = fork();
        if (child == 0)
            become_reader(in, out);
        err = child > 0 ? wait_for(child) : E_BUSY;
        if (err == E_OK)
            err = read_back(arena, out, text);
    }
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return err;
}
