/*
 * One libcurl multi handle, driven by the loop: libcurl says which sockets it waits for (on_socket)
 * and until when (on_timeout), the loop tells it what happened (drive). A call is on exactly one of
 * three lists: `waiting` (asked for from inside a libcurl callback, where none may be added),
 * `running`, `ended` (we ended it ourselves and owe the done).
 *
 * Choices, with their reasons:
 * - HTTP/1.1 only. A reply is one long stream; over HTTP/2 a lost packet would stall every reply
 * that shares the connection, and stopping one would have to be negotiated. Over HTTP/1.1 stopping
 * is closing, and a whole class of failures (GOAWAY, stream resets) does not exist.
 * - Connections stay open after a whole answer and are used again, so the second reply pays no
 * handshake.
 * - No redirects, so that a key is never carried to another host. No proxy from the environment:
 * what this program reaches is what its settings say.
 * - Nobody waits for a look-up. libcurl asks for names on a thread of its own, and would join it when the
 *   call ends before it: with a name server that says nothing the whole house stood still for ten seconds
 *   and more. CURLOPT_QUICK_EXIT, made for programs that are about to exit, lets go of the thread instead;
 *   it cleans up after itself.
 * - `Expect: 100-continue` is never sent: many model servers do not answer it, and each would cost
 * a second.
 * - Little memory per call, because a thousand replies run at once: a receive buffer of 2 KiB
 * (events of a model are some hundred bytes), and the request's body, which is a whole prompt, is
 * given back as soon as the answer begins.
 * - With a full house the streams are read in turns (gather_ms): a socket is left alone for a while after
 *   it was read empty, and what has come meanwhile is read at one go. Waking up, asking the kernel and
 *   going through libcurl is most of what a token costs, and listeners get batches of that length anyway.
 *   The first words of an answer never wait (fetch_gather), whatever comes before them.
 *
 * Deadlines: libcurl watches connecting and the total; the first byte and the gaps are one timer of
 * ours per call. A gap only notes the time of each read; the timer looks at it when it fires, so a
 * token costs no timer work.
 */
#include "fetch/fetch.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "fetch/curl_library.h"
#include "fetch/fetch_inside.h"
#include "loop/loop.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/banned.h"

#define CONNECT_MS           5000
#define FIRST_BYTE_MS        60000
#define IDLE_MS              30000
#define LIMIT_BYTES          ((size_t)8 << 20)
#define RECEIVE_BUFFER_BYTES 2048L
#define UPLOAD_BUFFER_BYTES \
    16384L /* the least that libcurl takes; the default of 64 KiB would be held per call */
#define KEPT_CONNECTIONS 256L /* open ones that libcurl may hold for the next call */
#define MULTI_SLACK_MS   1

/* A socket that libcurl waits for. Freed when libuv has closed its handle. It may stay longer than the
 * call that it was for: libcurl says farewell to TLS peers by itself. */
struct watch {
    uv_poll_t poll;
    curl_socket_t fd;
    int events;           /* what libcurl waits for */
    struct fetch *fetch;  /* whose call it is; NULL: nobody's any more */
    struct list of_fetch; /* beside the call's other sockets */
    struct timer gather;  /* armed while it is left alone */
};

static struct {
    const struct curl_library *curl; /* NULL until the first call */
    CURLM *multi;
    struct timer timer; /* libcurl's own deadline */
    struct list waiting, running, ended;
    int streams;       /* running calls that may gather */
    int depth;         /* inside libcurl: handles may not be added or removed */
    bool is_later_due; /* loop_later(on_later) is under way */
    bool is_kick_due;  /* libcurl asked to be called at once */
} engine;

static void tell(struct fetch *fetch, CURLcode code);
static void call_later(void);

/* --- ending a call ourselves ------------------------------------------------------------------ */

/* The call leaves for `ended`; done comes from on_later. The first reason (a literal) wins. */
static void end(struct fetch *fetch, enum err err, const char *reason) {
    if (fetch->stopped)
        return;
    fetch->stopped = err;
    fetch->stopped_reason = reason;
    list_remove(&fetch->node);
    list_add_last(&engine.ended, &fetch->node);
    call_later();
}

static void on_deadline(void *ctx) {
    struct fetch *fetch = ctx;
    MAGIC_CHECK(fetch, FETCH_MAGIC);
    if (!fetch->has_bytes) {
        end(fetch, E_TIMEOUT, "no answer came in time");
        return;
    }
    int64_t left_ms = fetch->idle_ms - (clock_mono_us() - fetch->last_read_us) / 1000;
    if (left_ms > 0)
        timer_start(&fetch->deadline, left_ms, on_deadline, fetch);
    else
        end(fetch, E_TIMEOUT, "the answer stopped in the middle");
}

/* --- what libcurl calls while it works on one call -------------------------------------------- */

/* Connected, and the request is about to leave: from here the first byte is awaited. */
static int on_request(void *ctx, char *peer, char *local, int peer_port, int local_port) {
    struct fetch *fetch = ctx;
    (void)peer, (void)local, (void)peer_port, (void)local_port;
    fetch->is_sent = true;
    timer_start(&fetch->deadline, fetch->first_byte_ms, on_deadline, fetch);
    return CURL_PREREQFUNC_OK;
}

/* `retry-after-ms` is what the vendors' own libraries read first; Retry-After itself libcurl
 * parses. */
static void read_retry_after_ms(struct fetch *fetch, struct str line) {
    static const struct str name = {"retry-after-ms:", 15};
    double ms;
    if (line.len > name.len && str_eq_nocase(str_slice(line, 0, name.len), name) &&
        str_to_double(str_trim(str_slice(line, name.len, line.len)), &ms) == E_OK && ms > 0)
        fetch->retry_after_ms =
            ms < (double)FETCH_RETRY_AFTER_LIMIT_MS ? (int64_t)ms : FETCH_RETRY_AFTER_LIMIT_MS;
}

/*
 * libcurl would send the body again only where nothing has been answered yet. What answers before
 * it has heard all (an early refusal) may still have the rest read from here.
 */
static void give_back_body(struct fetch *fetch) {
    curl_off_t sent = 0;
    engine.curl->easy_getinfo(fetch->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    if (fetch->body == NULL || (size_t)sent < fetch->body_len)
        return;
    free(fetch->body);
    fetch->body = NULL;
}

static void tell_head(struct fetch *fetch) {
    long status = 0;
    const char *type = NULL;
    engine.curl->easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200) /* 100 and 103 come before the answer */
        return;
    fetch->has_head = true;
    give_back_body(fetch);
    engine.curl->easy_getinfo(fetch->easy, CURLINFO_CONTENT_TYPE, &type);
    if (fetch->head)
        fetch->head(fetch->ctx, (int)status, str_from(type));
}

static size_t on_header(char *bytes, size_t size, size_t count, void *ctx) {
    struct fetch *fetch = ctx;
    MAGIC_CHECK(fetch, FETCH_MAGIC);
    struct str line = str_trim(str_of(bytes, size * count));
    if (fetch->stopped)
        return 0;
    if (fetch->has_head) /* trailers */
        return size * count;
    if (line.len == 0)
        tell_head(fetch);
    else
        read_retry_after_ms(fetch, line);
    return fetch->stopped ? 0 : size * count;
}

static void note_read(struct fetch *fetch) {
    fetch->last_read_us = clock_mono_us();
    if (!fetch->has_bytes) {
        fetch->has_bytes = true;
        timer_start(&fetch->deadline, fetch->idle_ms, on_deadline, fetch);
    }
}

static size_t on_body(char *bytes, size_t size, size_t count, void *ctx) {
    struct fetch *fetch = ctx;
    MAGIC_CHECK(fetch, FETCH_MAGIC);
    size_t len = size * count;
    if (fetch->stopped)
        return 0;
    note_read(fetch);
    fetch->got_bytes += len;
    if (fetch->got_bytes > fetch->limit_bytes) {
        end(fetch, E_LIMIT, "the answer is larger than we take");
        return 0;
    }
    if (fetch->body_bytes)
        fetch->body_bytes(fetch->ctx, str_of(bytes, len));
    return fetch->stopped ? 0 : len;
}

/* Our own sockets do not leak into child processes. */
static curl_socket_t on_open_socket(void *ctx, curlsocktype purpose,
                                    struct curl_sockaddr *address) {
    (void)ctx, (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* --- a call's options ------------------------------------------------------------------------- */

static bool has_control(struct str s) {
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] == '\r' || s.at[i] == '\n' || s.at[i] == '\0')
            return true;
    return false;
}

/* An empty value is written "Name;" to libcurl; "Name:" would take the header away. */
static bool add_header(struct fetch *fetch, struct arena *scratch, struct fetch_header header) {
    if (has_control(header.name) || has_control(header.value))
        return false;
    struct str line = header.value.len ? str_printf(scratch, STR_FMT ": " STR_FMT,
                                                    STR_ARG(header.name), STR_ARG(header.value))
                                       : str_printf(scratch, STR_FMT ";", STR_ARG(header.name));
    struct curl_slist *list = engine.curl->slist_append(fetch->headers, line.at);
    BUG_IF(list == NULL);
    fetch->headers = list;
    return true;
}

static bool add_headers(struct fetch *fetch, struct arena *scratch,
                        const struct fetch_options *options) {
    for (size_t i = 0; i < options->header_count; i++)
        if (!add_header(fetch, scratch, options->headers[i]))
            return false;
    fetch->headers = engine.curl->slist_append(fetch->headers, "Expect:"); /* none, see above */
    BUG_IF(fetch->headers == NULL);
    return true;
}

static void set_callbacks(struct fetch *fetch) {
    __typeof__(engine.curl->easy_setopt) set = engine.curl->easy_setopt;
    set(fetch->easy, CURLOPT_PRIVATE, (void *)fetch);
    set(fetch->easy, CURLOPT_ERRORBUFFER, fetch->reason);
    set(fetch->easy, CURLOPT_HEADERFUNCTION, on_header);
    set(fetch->easy, CURLOPT_HEADERDATA, (void *)fetch);
    set(fetch->easy, CURLOPT_WRITEFUNCTION, on_body);
    set(fetch->easy, CURLOPT_WRITEDATA, (void *)fetch);
    set(fetch->easy, CURLOPT_PREREQFUNCTION, on_request);
    set(fetch->easy, CURLOPT_PREREQDATA, (void *)fetch);
    set(fetch->easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
}

static void set_limits(struct fetch *fetch) {
    __typeof__(engine.curl->easy_setopt) set = engine.curl->easy_setopt;
    set(fetch->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    set(fetch->easy, CURLOPT_DEFAULT_PROTOCOL, "http");
    set(fetch->easy, CURLOPT_FOLLOWLOCATION, 0L);
    set(fetch->easy, CURLOPT_PROXY, "");
    set(fetch->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    set(fetch->easy, CURLOPT_ACCEPT_ENCODING, "");
    set(fetch->easy, CURLOPT_TCP_NODELAY, 1L);
    set(fetch->easy, CURLOPT_TCP_KEEPALIVE, 1L);
    set(fetch->easy, CURLOPT_NOSIGNAL, 1L);
    set(fetch->easy, CURLOPT_QUICK_EXIT, 1L); /* see above: look-ups */
    set(fetch->easy, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER_BYTES);
    set(fetch->easy, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER_BYTES);
    set(fetch->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)fetch->connect_ms);
    set(fetch->easy, CURLOPT_TIMEOUT_MS, (long)fetch->total_ms);
}

static void set_request(struct fetch *fetch, struct arena *scratch,
                        const struct fetch_options *options) {
    __typeof__(engine.curl->easy_setopt) set = engine.curl->easy_setopt;
    bool is_get = strcmp(options->method, "GET") == 0;
    set(fetch->easy, CURLOPT_URL, str_dup_z(scratch, options->url));
    if (!is_get) {
        set(fetch->easy, CURLOPT_POST, 1L);
        set(fetch->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)fetch->body_len);
        set(fetch->easy, CURLOPT_POSTFIELDS, fetch->body ? fetch->body : "");
    }
    if (!is_get && strcmp(options->method, "POST") != 0)
        set(fetch->easy, CURLOPT_CUSTOMREQUEST, options->method);
    set(fetch->easy, CURLOPT_HTTPHEADER, fetch->headers);
}

static bool prepare(struct fetch *fetch, const struct fetch_options *options) {
    struct arena scratch;
    arena_init(&scratch);
    arena_wipe_on_release(&scratch); /* a header may be a key */
    fetch->easy = engine.curl->easy_init();
    BUG_IF(fetch->easy == NULL);
    bool is_good =
        options->url.len && !has_control(options->url) && add_headers(fetch, &scratch, options);
    if (is_good) {
        set_callbacks(fetch);
        set_limits(fetch);
        set_request(fetch, &scratch, options);
    }
    arena_release(&scratch);
    return is_good;
}

/* --- the engine ------------------------------------------------------------------------------- */

static void read_messages(void) {
    int left;
    CURLMsg *message;
    while ((message = engine.curl->multi_info_read(engine.multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        struct fetch *fetch = NULL;
        engine.curl->easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&fetch);
        MAGIC_CHECK(fetch, FETCH_MAGIC);
        tell(fetch, code);
    }
}

static void drive(curl_socket_t fd, int events) {
    if (engine.multi == NULL)
        return;
    int running;
    engine.depth++;
    engine.curl->multi_socket_action(engine.multi, fd, events, &running);
    engine.depth--;
    read_messages();
}

/* --- reading in turns --- */

/* How long a stream that was read empty is left alone. A little longer than the batches of a turn
 * (turn_speak.c), so that what is read is told at once. */
static int64_t gather_ms(const struct fetch *fetch) {
    if (fetch == NULL || !fetch->may_gather || fetch->stopped)
        return 0;
    return engine.streams < 100 ? 0 : engine.streams < 400 ? 100 : 200;
}

static bool is_read_empty(const struct watch *watch) {
    int left = 0;
    return ioctl(watch->fd, FIONREAD, &left) == 0 && left == 0;
}

static void on_gathered(void *ctx);
static void on_poll(uv_poll_t *poll, int status, int events);

/* After a read: leaves the socket alone, or lets the loop watch it. libcurl may have let go of it. */
static void watch_on(struct watch *watch) {
    if (uv_is_closing((uv_handle_t *)&watch->poll))
        return;
    int64_t wait_ms = watch->events == UV_READABLE ? gather_ms(watch->fetch) : 0;
    bool is_watched = uv_is_active((uv_handle_t *)&watch->poll);
    if (wait_ms > 0 && is_read_empty(watch)) {
        if (is_watched) /* stopping costs a call of the kernel each time */
            uv_poll_stop(&watch->poll);
        timer_start(&watch->gather, wait_ms, on_gathered, watch);
    } else if (!is_watched) {
        uv_poll_start(&watch->poll, watch->events, on_poll);
    }
}

static void on_gathered(void *ctx) {
    struct watch *watch = ctx;
    drive(watch->fd, CURL_CSELECT_IN);
    watch_on(watch);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
    struct watch *watch = poll->data;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    drive(watch->fd, flags);
    watch_on(watch);
}

static void on_watch_closed(uv_handle_t *handle) {
    free(handle->data);
}

static struct watch *watch_new(curl_socket_t fd) {
    struct watch *watch = calloc(1, sizeof *watch);
    BUG_IF(watch == NULL);
    watch->fd = fd;
    watch->poll.data = watch;
    if (uv_poll_init_socket(loop_uv(), &watch->poll, fd) != 0) {
        free(watch);
        return NULL;
    }
    engine.curl->multi_assign(engine.multi, fd, watch);
    return watch;
}

/* The socket works for this call from now on (NULL: for none). */
static void watch_for(struct watch *watch, struct fetch *fetch) {
    list_remove(&watch->of_fetch);
    watch->fetch = fetch;
    if (fetch)
        list_add_last(&fetch->watches, &watch->of_fetch);
}

/* libcurl says what it wants to know about a socket. A socket that cannot be watched is left to
 * libcurl's deadline. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *known) {
    struct watch *watch = known;
    (void)ctx;
    if (what == CURL_POLL_REMOVE) {
        if (watch == NULL)
            return 0;
        timer_stop(&watch->gather);
        watch_for(watch, NULL);
        uv_poll_stop(&watch->poll);
        uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
        engine.curl->multi_assign(engine.multi, fd, NULL);
        return 0;
    }
    if (watch == NULL)
        watch = watch_new(fd);
    if (watch) {
        watch->events =
            (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
        struct fetch *fetch = NULL;
        engine.curl->easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&fetch);
        watch_for(watch, fetch);
        timer_stop(&watch->gather);
        uv_poll_start(&watch->poll, watch->events, on_poll);
    }
    return 0;
}

static void on_timer(void *ctx) {
    (void)ctx;
    drive(CURL_SOCKET_TIMEOUT, 0);
}

/* libcurl may not be called from here, so "at once" is later in this turn of the loop. */
static int on_timeout(CURLM *multi, long timeout_ms, void *ctx) {
    (void)multi, (void)ctx;
    timer_stop(&engine.timer);
    engine.is_kick_due = timeout_ms == 0;
    if (timeout_ms == 0)
        call_later();
    else if (timeout_ms > 0)
        timer_start(&engine.timer, timeout_ms + MULTI_SLACK_MS, on_timer, NULL);
    return 0;
}

static void run(struct fetch *fetch) {
    list_remove(&fetch->node);
    list_add_last(&engine.running, &fetch->node);
    fetch->is_in_multi = true;
    CURLMcode code = engine.curl->multi_add_handle(engine.multi, fetch->easy);
    BUG_IF(code != CURLM_OK);
}

static void on_later(void *ctx) {
    (void)ctx;
    engine.is_later_due = false;
    while (!list_is_empty(&engine.ended))
        tell(CONTAINER_OF(engine.ended.next, struct fetch, node), CURLE_ABORTED_BY_CALLBACK);
    while (!list_is_empty(&engine.waiting))
        run(CONTAINER_OF(engine.waiting.next, struct fetch, node));
    if (engine.is_kick_due) {
        engine.is_kick_due = false;
        drive(CURL_SOCKET_TIMEOUT, 0);
    }
}

static void call_later(void) {
    if (engine.is_later_due)
        return;
    engine.is_later_due = true;
    loop_later(on_later, NULL);
}

static bool engine_ensure(void) {
    if (engine.running.next == NULL) {
        list_init(&engine.waiting);
        list_init(&engine.running);
        list_init(&engine.ended);
    }
    if (engine.multi)
        return true;
    engine.curl = curl_library_open();
    if (engine.curl == NULL)
        return false;
    engine.multi = engine.curl->multi_init();
    BUG_IF(engine.multi == NULL);
    engine.curl->multi_setopt(engine.multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    engine.curl->multi_setopt(engine.multi, CURLMOPT_TIMERFUNCTION, on_timeout);
    engine.curl->multi_setopt(engine.multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    engine.curl->multi_setopt(engine.multi, CURLMOPT_MAXCONNECTS, KEPT_CONNECTIONS);
    return true;
}

/* --- the end ---------------------------------------------------------------------------------- */

/* Everything that a call holds goes, then its owner is told; so the owner may start and cancel
 * others from inside done. */
static void tell(struct fetch *fetch, CURLcode code) {
    struct fetch_result result = fetch_result_of(fetch, engine.curl, code);
    engine.streams -= fetch->may_gather;
    timer_stop(&fetch->deadline);
    list_remove(&fetch->node);
    if (fetch->is_in_multi)
        engine.curl->multi_remove_handle(engine.multi, fetch->easy);
    if (fetch->easy) {
        engine.curl->easy_cleanup(fetch->easy);
        engine.curl->slist_free_all(fetch->headers);
    }
    while (!list_is_empty(&fetch->watches))
        watch_for(CONTAINER_OF(fetch->watches.next, struct watch, of_fetch), NULL);
    fetch->stopped = E_CANCELLED; /* a late fetch_cancel() finds nothing to do */
    fetch->done(fetch->ctx, &result);
    fetch->magic = 0;
    free(fetch->body);
    free(fetch);
}

/* --- the public face -------------------------------------------------------------------------- */

static int64_t or_default(int64_t value, int64_t fallback) {
    return value > 0 ? value : fallback;
}

static struct fetch *fetch_new(const struct fetch_options *options) {
    struct fetch *fetch = calloc(1, sizeof *fetch);
    BUG_IF(fetch == NULL);
    fetch->magic = FETCH_MAGIC;
    list_init(&fetch->watches);
    fetch->head = options->head;
    fetch->body_bytes = options->body_bytes;
    fetch->done = options->done;
    fetch->ctx = options->ctx;
    fetch->connect_ms = or_default(options->connect_ms, CONNECT_MS);
    fetch->first_byte_ms = or_default(options->first_byte_ms, FIRST_BYTE_MS);
    fetch->idle_ms = or_default(options->idle_ms, IDLE_MS);
    fetch->total_ms = or_default(options->total_ms, 0);
    if (options->body.len) {
        fetch->body = malloc(options->body.len);
        BUG_IF(fetch->body == NULL);
        memcpy(fetch->body, options->body.at, options->body.len);
        fetch->body_len = options->body.len;
    }
    fetch->limit_bytes = options->limit_bytes ? options->limit_bytes : LIMIT_BYTES;
    return fetch;
}

struct fetch *fetch_start(const struct fetch_options *options) {
    BUG_IF(options->done == NULL || options->method == NULL);
    struct fetch *fetch = fetch_new(options);
    bool has_engine = engine_ensure();
    list_add_last(&engine.waiting, &fetch->node);
    if (!has_engine)
        end(fetch, E_UPSTREAM, "libcurl is not installed on this machine");
    else if (!prepare(fetch, options))
        end(fetch, E_INPUT, "the address or a header has characters that cannot be sent");
    else if (engine.depth == 0)
        run(fetch);
    else
        call_later();
    return fetch;
}

void fetch_cancel(struct fetch *fetch) {
    MAGIC_CHECK(fetch, FETCH_MAGIC);
    end(fetch, E_CANCELLED, "cancelled");
}

void fetch_gather(struct fetch *fetch) {
    MAGIC_CHECK(fetch, FETCH_MAGIC);
    engine.streams += !fetch->may_gather;
    fetch->may_gather = true;
}

static void end_all(struct list *list) {
    while (!list_is_empty(list))
        end(CONTAINER_OF(list->next, struct fetch, node), E_CANCELLED, "cancelled");
}

/* The loop may have turned for the last time, so the owners are told here and not later. */
void fetch_release(void) {
    if (engine.running.next == NULL)
        return;
    end_all(&engine.waiting);
    end_all(&engine.running);
    while (!list_is_empty(&engine.ended))
        tell(CONTAINER_OF(engine.ended.next, struct fetch, node), CURLE_ABORTED_BY_CALLBACK);
    timer_stop(&engine.timer);
    if (engine.multi)
        engine.curl->multi_cleanup(engine.multi);
    engine.multi = NULL;
    engine.is_kick_due = false;
    curl_library_close();
}
