/*
 * A PDF is a program more than a text, and reading one is no work for this process. A child runs
 * pdftotext between two files that exist in memory only; it may use ten seconds of a processor, 512
 * MiB, no core file and no other files than those, and is killed when it takes longer than half a
 * minute. Its environment is empty but for the path.
 */
#include "character/pdf.h"

#include "base/check.h"
#include "base/clock.h"
#include "character/document.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/banned.h"

#define CPU_SECONDS    10
#define WALL_MS        ((int64_t)30000)
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
static void become_reader(int in, int out, int alive) {
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
    if (dup2(in, 0) == 0 && dup2(out, 1) == 1 && dup2(nowhere, 2) == 2 &&
        fcntl(alive, F_SETFD, 0) == 0) {
        execve("/usr/bin/pdftotext", arguments, environment);
        execve("/usr/local/bin/pdftotext", arguments, environment);
    }
    _exit(EXIT_NO_READER);
}

/* True when the child ended within WALL_MS: it has the only other end of this pipe. */
static bool ends_in_time(int alive) {
    struct pollfd end = {.fd = alive};
    int64_t until_us = clock_mono_us() + WALL_MS * 1000, left_us;
    int ready;
    do {
        left_us = until_us - clock_mono_us();
        ready = left_us > 0 ? poll(&end, 1, (int)(left_us / 1000) + 1) : 0;
    } while (ready < 0 && errno == EINTR);
    return ready > 0;
}

static enum err wait_for(pid_t child, int alive) {
    int status = 0;
    bool is_in_time = ends_in_time(alive);
    if (!is_in_time)
        kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return E_INPUT;
    if (!is_in_time)
        return E_TIMEOUT;
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_READER)
        return E_ABSENT;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? E_OK : E_INPUT;
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

static enum err run_reader(int in, int out) {
    int alive[2];
    if (pipe2(alive, O_CLOEXEC) != 0)
        return E_BUSY;
    pid_t child = fork();
    if (child == 0)
        become_reader(in, out, alive[1]);
    close(alive[1]);
    enum err err = child > 0 ? wait_for(child, alive[0]) : E_BUSY;
    close(alive[0]);
    return err;
}

enum err pool_pdf_text(struct arena *arena, struct str bytes, struct str *text) {
    int in = memfd_create("document", MFD_CLOEXEC), out = memfd_create("text", MFD_CLOEXEC);
    enum err err = E_STORAGE;
    if (in >= 0 && out >= 0 && write_all(in, bytes) && lseek(in, 0, SEEK_SET) == 0) {
        err = run_reader(in, out);
        if (err == E_OK)
            err = read_back(arena, out, text);
    }
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return err;
}
