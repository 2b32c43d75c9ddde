/*
 * Makes load and measures what it costs the server. One mode per run, one line of JSON as result.
 *
 *     load http    closed loop of requests from a file: rate, latency, processor time per request
 *     load sockets WebSockets at rest: memory of each
 *     load fanout  one speaks, all hear: processor time per message
 *     load turns   streams of tokens: time to the first, processor time per token, memory of each
 *     load start   -- COMMAND...: from fork() to the first answer of /healthz
 *
 * The program pins itself with --core and knows nothing about the server but its port and pid, so
 * the same load meets every server that is compared.
 */
#include "load.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct option_row {
    const char *name;
    enum { TEXT, INTEGER, NUMBER } type;
    size_t at;
};

#define ROW(name, type, member) \
    { name, type, offsetof(struct options, member) }

static const struct option_row rows[] = {
    ROW("--address", TEXT, address),
    ROW("--port", INTEGER, port),
    ROW("--pid", INTEGER, pid),
    ROW("--core", INTEGER, core),
    ROW("--server-core", INTEGER, server_core),
    ROW("--connections", INTEGER, connections),
    ROW("--seconds", NUMBER, seconds),
    ROW("--warm-seconds", NUMBER, warm_seconds),
    ROW("--per-second", NUMBER, per_second),
    ROW("--rounds", INTEGER, rounds),
    ROW("--tokens", INTEGER, tokens),
    ROW("--token", TEXT, token),
    ROW("--requests", TEXT, requests),
    ROW("--hello", TEXT, hello),
    ROW("--welcome", TEXT, welcome),
    ROW("--speak", TEXT, speak),
    ROW("--heard", TEXT, heard),
    ROW("--first-mark", TEXT, first_mark),
    ROW("--end-mark", TEXT, end_mark),
    ROW("--word", TEXT, word),
    ROW("--upgrade", TEXT, upgrade),
};

static void set(struct options *options, const char *name, const char *value) {
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        void *at = (char *)options + rows[i].at;
        if (strcmp(rows[i].name, name) != 0)
            continue;
        if (rows[i].type == TEXT)
            *(const char **)at = value;
        else if (rows[i].type == INTEGER)
            *(int *)at = atoi(value);
        else
            *(double *)at = atof(value);
        return;
    }
    fail("no such option: %s", name);
}

/* As many descriptors as the kernel lets us have: a socket is one. */
static void allow_descriptors(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv) {
    struct options options = {
        .address = "127.0.0.1",
        .core = -1,
        .server_core = -1,
        .connections = 32,
        .seconds = 2,
        .warm_seconds = 0.3,
        .rounds = 1,
        .welcome = "",
        .word = "",
        .upgrade = "/ws",
    };
    int i = 2;
    for (; i + 1 < argc && strcmp(argv[i], "--") != 0; i += 2)
        set(&options, argv[i], argv[i + 1]);
    if (argc < 2 || options.port == 0)
        fail("usage: load http|sockets|fanout|turns|start --port PORT [options]");
    signal(SIGPIPE, SIG_IGN);
    allow_descriptors();
    pin(options.core);
    if (strcmp(argv[1], "http") == 0)
        load_http(&options);
    else if (strcmp(argv[1], "sockets") == 0)
        load_sockets(&options);
    else if (strcmp(argv[1], "fanout") == 0)
        load_fanout(&options);
    else if (strcmp(argv[1], "turns") == 0)
        load_turns(&options);
    else if (strcmp(argv[1], "start") == 0 && i + 1 < argc)
        load_start(&options, argv + i + 1);
    else
        fail("no such mode: %s", argv[1]);
    return 0;
}
