/*
 * Streams: a request goes out, tokens come back as server-sent events.
 *
 * Closed loop (--per-second 0): one turn after another on each connection, for the time to the
 * first token. Open loop: turns start at a pace, each on a connection of its own; when all have
 * started and warmed up, processor time and memory of the server are taken over a window in which
 * every stream is in full flow.
 *
 * Every token holds one `word`; a stream whose words do not add up is an error, and so is one that
 * ends without its end mark. What comes after the end mark (the whole reply once more) is not
 * counted.
 */
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define TAIL_BYTES 48 /* a mark may be cut by the end of a read */
#define LAST_CHUNK "\r\n0\r\n\r\n"
#define STALLED_US 20e6

struct turn {
    int fd;
    bool is_under_way, has_first, has_end;
    double sent_us;
    int words;
    size_t tail_len;
    char tail[TAIL_BYTES];
};

static struct {
    const struct options *options;
    struct script script;
    int epoll;
    struct turn *turns;
    int started, ended, under_way;
    size_t errors, words, reads;
    double heard_us; /* when something last came */
    struct latencies latencies;
} run;

static void open_turn(struct turn *turn, int source) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = turn};
    turn->fd = connect_to(run.options, source);
    epoll_ctl(run.epoll, EPOLL_CTL_ADD, turn->fd, &event);
}

static void start(struct turn *turn) {
    size_t i = (size_t)run.started++ % run.script.count;
    *turn = (struct turn){.fd = turn->fd, .is_under_way = true, .sent_us = now_us()};
    run.under_way++;
    send_all(turn->fd, run.script.lines[i], run.script.lens[i]);
}

static void complain(const char *what, const char *bytes, size_t len) {
    if (run.errors++ == 0)
        fprintf(stderr, "load: %s: %.*s\n", what, (int)(len < 400 ? len : 400), bytes);
}

static void end(struct turn *turn, const char *bytes, size_t len) {
    if (!turn->has_first || !turn->has_end)
        complain("a stream ended too early", bytes, len);
    else if (run.options->tokens > 0 && turn->words != run.options->tokens)
        complain("a stream has the wrong number of tokens", bytes, len);
    turn->is_under_way = false;
    run.under_way--;
    run.ended++;
}

static int count_words(const char *bytes, size_t len, const char *word, size_t fresh_from) {
    int count = 0;
    size_t word_len = strlen(word);
    const char *at = bytes;
    while ((at = memmem(at, len - (size_t)(at - bytes), word, word_len)) != NULL) {
        at += word_len;
        count += (size_t)(at - bytes) > fresh_from; /* those in the tail are counted already */
    }
    return count;
}

/* `bytes` begins with the tail of the read before; what is new begins at fresh_from. */
static void look(struct turn *turn, const char *bytes, size_t len, size_t fresh_from) {
    const struct options *o = run.options;
    if (!turn->has_first && memmem(bytes, len, o->first_mark, strlen(o->first_mark)) != NULL) {
        turn->has_first = true;
        latencies_add(&run.latencies, now_us() - turn->sent_us);
    }
    if (turn->has_end)
        return;
    const char *end_at = memmem(bytes, len, o->end_mark, strlen(o->end_mark));
    size_t counted = end_at != NULL ? (size_t)(end_at - bytes) : len;
    int words = counted > fresh_from ? count_words(bytes, counted, o->word, fresh_from) : 0;
    turn->words += words;
    run.words += (size_t)words;
    turn->has_end = end_at != NULL;
}

static void take(struct turn *turn, const char *read_bytes, size_t read_len) {
    static char bytes[READ_BYTES + TAIL_BYTES];
    size_t len = turn->tail_len + read_len;
    memcpy(bytes, turn->tail, turn->tail_len);
    memcpy(bytes + turn->tail_len, read_bytes, read_len);
    run.reads++;
    look(turn, bytes, len, turn->tail_len);
    if (turn->has_end && memmem(bytes, len, LAST_CHUNK, sizeof(LAST_CHUNK) - 1) != NULL) {
        end(turn, bytes, len);
        return;
    }
    turn->tail_len = len < TAIL_BYTES - 1 ? len : TAIL_BYTES - 1;
    memcpy(turn->tail, bytes + len - turn->tail_len, turn->tail_len);
}

static void serve(int wait_ms) {
    static char bytes[READ_BYTES];
    struct epoll_event events[512];
    int count = epoll_wait(run.epoll, events, 512, wait_ms);
    double now = now_us();
    if (count > 0)
        run.heard_us = now;
    else if (run.under_way > 0 && now - run.heard_us > STALLED_US)
        fail("%d streams have stalled", run.under_way);
    for (int i = 0; i < count; i++) {
        struct turn *turn = events[i].data.ptr;
        ssize_t len = recv(turn->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (len < 0 && errno == EAGAIN)
            continue;
        if (len > 0) {
            take(turn, bytes, (size_t)len);
            continue;
        }
        epoll_ctl(run.epoll, EPOLL_CTL_DEL, turn->fd, NULL);
        close(turn->fd);
        turn->fd = -1;
        if (turn->is_under_way)
            end(turn, turn->tail, turn->tail_len);
    }
}

static void closed_loop(double *cpu_us_each) {
    const struct options *o = run.options;
    struct usage before = usage_of(o->pid);
    while (run.ended < o->rounds) {
        for (int i = 0; i < o->connections; i++) {
            struct turn *turn = &run.turns[i];
            if (turn->is_under_way || run.started >= o->rounds)
                continue;
            if (turn->fd < 0)
                open_turn(turn, i);
            start(turn);
        }
        serve(1);
    }
    *cpu_us_each = (usage_of(o->pid).cpu_us - before.cpu_us) / o->rounds;
}

static void serve_until(double until_us) {
    while (now_us() < until_us)
        serve(1);
}

/* Fills in what is known only while all streams flow. */
static void open_loop(double *cpu_us_per_word, double *bytes_each, double *cpu_share) {
    const struct options *o = run.options;
    double memory_before_kb = memory_kb(o->pid, "Anonymous"), began_us = now_us();
    for (int i = 0; i < o->rounds; i++) {
        serve_until(began_us + (double)i / o->per_second * 1e6);
        open_turn(&run.turns[i], i);
        start(&run.turns[i]);
    }
    serve_until(now_us() + o->warm_seconds * 1e6);
    if (run.under_way < o->rounds)
        fail("only %d of %d streams are under way in the window", run.under_way, o->rounds);
    struct usage before = usage_of(o->pid);
    double window_us = now_us();
    size_t words = run.words;
    serve_until(window_us + o->seconds * 1e6);
    window_us = now_us() - window_us;
    struct usage after = usage_of(o->pid);
    if (run.under_way < o->rounds)
        fail("only %d of %d streams lasted through the window", run.under_way, o->rounds);
    *cpu_us_per_word = (after.cpu_us - before.cpu_us) / (double)(run.words - words);
    *cpu_share = (after.cpu_us - before.cpu_us) / window_us;
    *bytes_each = (memory_kb(o->pid, "Anonymous") - memory_before_kb) * 1024 / o->rounds;
    while (run.under_way > 0)
        serve(10);
}

void load_turns(const struct options *options) {
    int room = options->per_second > 0 ? options->rounds : options->connections;
    double cpu_us_per_word = 0, cpu_us_each = 0, bytes_each = 0, cpu_share = 0;
    run.options = options;
    run.script = script_requests(options);
    run.epoll = epoll_create1(0);
    run.turns = calloc((size_t)room, sizeof(*run.turns));
    for (int i = 0; i < room; i++)
        run.turns[i].fd = -1;
    run.heard_us = now_us();
    if (options->per_second > 0)
        open_loop(&cpu_us_per_word, &bytes_each, &cpu_share);
    else
        closed_loop(&cpu_us_each);
    printf("{\"turns\": %d, \"errors\": %zu, \"first_p50_us\": %.0f, \"first_p99_us\": %.0f, "
           "\"first_max_us\": %.0f, \"words\": %zu, \"reads\": %zu, \"cpu_us_per_token\": %.3f, "
           "\"cpu_share\": %.3f, \"cpu_us_each\": %.1f, \"bytes_each\": %.0f}\n",
           run.ended, run.errors, latencies_at(&run.latencies, 0.5),
           latencies_at(&run.latencies, 0.99), latencies_at(&run.latencies, 1.0), run.words,
           run.reads, cpu_us_per_word, cpu_share, cpu_us_each, bytes_each);
}
