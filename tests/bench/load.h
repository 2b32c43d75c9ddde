/*
 * What the parts of the load maker share: its options, one connection, the clock, latencies, and
 * what the kernel knows about the server's process. One thread; everything may be called from it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define READ_BYTES (256 << 10)

struct options {
    const char *address;
    int port;
    int pid;                /* of the server, for CPU and memory; 0: not measured */
    int core;               /* we run there; -1: anywhere */
    int server_core;        /* start: the server runs there; -1: anywhere */
    int connections;        /* how many at once */
    double seconds;         /* of the measured window */
    double warm_seconds;    /* before it */
    double per_second;      /* turns: starts; 0: closed loop */
    int rounds;             /* fan-out: messages; turns: how many */
    int tokens;             /* turns: tokens of a reply, counted when > 0 */
    const char *token;      /* bearer token; NULL: none */
    const char *requests;   /* file: a line is METHOD SPACE PATH [TAB BODY] */
    const char *hello;      /* sockets: file, a line is what a socket sends first */
    const char *welcome;    /* sockets: what the last answer to its hello contains */
    const char *speak;      /* fan-out: file, a line is what the speaker sends */
    const char *heard;      /* fan-out: what a frame contains that counts */
    const char *first_mark; /* turns: what the first token looks like */
    const char *end_mark;   /* turns: what the end of the stream looks like */
    const char *word;       /* turns: what stands once in every token */
    const char *upgrade;    /* sockets: path */
};

/* Lines of a file that were read at the start, each a finished thing to send. */
struct script {
    char **lines;
    size_t *lens;
    size_t count;
};

/* Latencies in microseconds, every one kept. */
struct latencies {
    uint32_t *us;
    size_t count, room;
};

/* What the process has used so far. */
struct usage {
    double cpu_us;
    double written_bytes;
};

/* --- load_common.c ---------------------------------------------------------------------------- */

/* Prints to stderr and ends the process: a measurement that went wrong must not look like one. */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

double now_us(void);
/* Binds this process to a core; -1 leaves it free. */
void pin(int core);
/* A connected, non-blocking socket with TCP_NODELAY. `source` varies the loopback address of our
 * side, so that more than one port range is there. */
int connect_to(const struct options *options, int source);
/* Sends all of it; what the kernel does not take at once is waited for. */
void send_all(int fd, const char *bytes, size_t len);

/* Lines as they are, or (script_requests) as HTTP/1.1 requests with the token of the options. */
struct script script_lines(const char *path);
struct script script_requests(const struct options *options);

void latencies_add(struct latencies *latencies, double us);
/* Sorts; `share` is 0.5 for the median. 0 when there is none. */
double latencies_at(struct latencies *latencies, double share);

/* The processor time of every thread of the process, in nanosecond resolution where the kernel
 * keeps it. */
struct usage usage_of(int pid);
/* Memory that is this process's alone, and its share of what it shares (smaps_rollup). */
double memory_kb(int pid, const char *row);

/* --- the modes -------------------------------------------------------------------------------- */

void load_http(const struct options *options);
void load_sockets(const struct options *options);
void load_fanout(const struct options *options);
void load_turns(const struct options *options);
void load_start(const struct options *options, char **command);
