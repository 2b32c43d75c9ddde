/*
 * Sockets, the clock, files of things to send, latencies, and /proc.
 *
 * Processor time comes from /proc/PID/task/TID/schedstat: the run time of every thread in
 * nanoseconds. /proc/PID/stat counts the same in ticks of 10 ms, and also holds the threads that
 * have ended; it is the fall-back for kernels without schedstat.
 */
#include "load.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SOCKETS_PER_SOURCE 20000 /* the range of local ports has 28,000 */

void fail(const char *format, ...) {
    va_list values;
    va_start(values, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    va_end(values);
    exit(1);
}

double now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

void pin(int core) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    if (core < 0)
        return;
    CPU_SET((size_t)core, &cores);
    if (sched_setaffinity(0, sizeof(cores), &cores) != 0)
        fail("cannot run on core %d", core);
}

int connect_to(const struct options *options, int source) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in here = {.sin_family = AF_INET};
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options->port)};
    int on = 1;
    if (fd < 0)
        fail("socket: %s (ulimit -n?)", strerror(errno));
    here.sin_addr.s_addr = htonl(0x7f000002u + (uint32_t)(source / SOCKETS_PER_SOURCE));
    if (inet_pton(AF_INET, options->address, &there.sin_addr) != 1)
        fail("no address: %s", options->address);
    if (source >= SOCKETS_PER_SOURCE && bind(fd, (struct sockaddr *)&here, sizeof(here)) != 0)
        fail("bind: %s", strerror(errno));
    if (connect(fd, (struct sockaddr *)&there, sizeof(there)) != 0)
        fail("connect: %s", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

void send_all(int fd, const char *bytes, size_t len) {
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 1000);
            continue;
        }
        if (sent < 0)
            fail("send: %s", strerror(errno));
        bytes += sent;
        len -= (size_t)sent;
    }
}

/* --- files ------------------------------------------------------------------------------------ */

static void script_add(struct script *script, char *line, size_t len) {
    if (script->count % 1024 == 0) {
        script->lines = realloc(script->lines, (script->count + 1024) * sizeof(*script->lines));
        script->lens = realloc(script->lens, (script->count + 1024) * sizeof(*script->lens));
    }
    script->lines[script->count] = line;
    script->lens[script->count++] = len;
}

struct script script_lines(const char *path) {
    struct script script = {0};
    FILE *file = path == NULL ? NULL : fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    if (file == NULL)
        fail("cannot read %s", path == NULL ? "(no file named)" : path);
    for (ssize_t len; (len = getline(&line, &room, file)) > 0;) {
        len -= line[len - 1] == '\n';
        line[len] = '\0';
        script_add(&script, strdup(line), (size_t)len);
    }
    free(line);
    fclose(file);
    if (script.count == 0)
        fail("nothing in %s", path);
    return script;
}

/* "POST /path TAB body" as the bytes of a request. */
static char *request_of(const struct options *options, char *line, size_t *len) {
    char *body = strchr(line, '\t');
    if (body != NULL)
        *body++ = '\0';
    size_t room = strlen(line) + (body ? strlen(body) : 0) + 4096;
    char *request = malloc(room), content[96] = "", bearer[3072] = "";
    if (body != NULL)
        snprintf(content, sizeof(content),
                 "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
    if (options->token != NULL)
        snprintf(bearer, sizeof(bearer), "Authorization: Bearer %s\r\n", options->token);
    *len = (size_t)snprintf(
        request, room, "%s HTTP/1.1\r\nHost: localhost\r\n%s%s%s\r\n%s", line, bearer, content,
        options->first_mark ? "Accept: text/event-stream\r\n" : "", body ? body : "");
    return request;
}

struct script script_requests(const struct options *options) {
    struct script script = script_lines(options->requests);
    for (size_t i = 0; i < script.count; i++) {
        char *line = script.lines[i];
        script.lines[i] = request_of(options, line, &script.lens[i]);
        free(line);
    }
    return script;
}

/* --- latencies -------------------------------------------------------------------------------- */

void latencies_add(struct latencies *latencies, double us) {
    if (latencies->count == latencies->room) {
        latencies->room = latencies->room == 0 ? 1 << 16 : latencies->room * 2;
        latencies->us = realloc(latencies->us, latencies->room * sizeof(*latencies->us));
    }
    latencies->us[latencies->count++] = (uint32_t)us;
}

static int by_size(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

double latencies_at(struct latencies *latencies, double share) {
    if (latencies->count == 0)
        return 0;
    qsort(latencies->us, latencies->count, sizeof(*latencies->us), by_size);
    return latencies->us[(size_t)(share * (double)(latencies->count - 1))];
}

/* --- /proc ------------------------------------------------------------------------------------ */

static double stat_cpu_us(int pid) {
    char path[64], line[1024] = "";
    unsigned long user = 0, kernel = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL || fgets(line, sizeof(line), file) == NULL)
        fail("process %d is gone", pid);
    fclose(file);
    const char *rest = strrchr(line, ')');
    if (rest == NULL || sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                               &user, &kernel) != 2)
        fail("/proc/%d/stat is strange", pid);
    return (double)(user + kernel) * 1e6 / (double)sysconf(_SC_CLK_TCK);
}

static double threads_cpu_us(int pid) {
    char path[320];
    double ns = 0;
    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    DIR *folder = opendir(path);
    if (folder == NULL)
        fail("process %d is gone", pid);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        unsigned long long run = 0;
        snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pid, entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (file != NULL && fscanf(file, "%llu", &run) == 1)
            ns += (double)run;
        if (file != NULL)
            fclose(file);
    }
    closedir(folder);
    return ns / 1e3;
}

static double written_bytes(int pid) {
    char path[64], line[128];
    double bytes = 0;
    snprintf(path, sizeof(path), "/proc/%d/io", pid);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        sscanf(line, "write_bytes: %lf", &bytes);
    if (file != NULL)
        fclose(file);
    return bytes;
}

struct usage usage_of(int pid) {
    if (pid == 0)
        return (struct usage){0};
    double us = threads_cpu_us(pid);
    return (struct usage){us > 0 ? us : stat_cpu_us(pid), written_bytes(pid)};
}

double memory_kb(int pid, const char *row) {
    char path[64], line[256];
    size_t len = strlen(row);
    double kb = 0;
    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail("process %d is gone", pid);
    while (fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, row, len) == 0 && line[len] == ':')
            kb = atof(line + len + 1);
    fclose(file);
    return kb;
}
