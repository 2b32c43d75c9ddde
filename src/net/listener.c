/*
 * Where connections come from: a socket of our own, or those that systemd hands over (LISTEN_FDS,
 * sd_listen_fds(3)).
 *
 * Accepting is ours, not libuv's: libuv answers EMFILE by closing whoever waits. Here accepting
 * pauses instead: the peers wait in the kernel's backlog, and are taken when a connection has ended
 * or RETRY_MS have passed. SPARE_DESCRIPTORS are never given to connections, because the store and
 * the endpoints need some when the door is crowded.
 *
 * Limits: connections in all and per address. Who comes above them is answered 503 and closed, as
 * long as not too many are being told so.
 */
#include "net/listener.h"

#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/metric.h"
#include "loop/loop.h"
#include "net/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>
#include "base/banned.h"

#define BACKLOG            1024
#define ACCEPTS_PER_EVENT  64 /* then those already here get their turn */
#define RETRY_MS           200
#define SOCKETS_LIMIT      8
#define SYSTEMD_FIRST_FD   3
#define SPARE_DESCRIPTORS  64
#define FEWEST_CONNECTIONS 16  /* fewer are no server: one page opens six */
#define REFUSED_LIMIT      256 /* connections above the limit that are still told so */
#define ADDRESS_BYTES      64

METRIC_COUNTER(accepted, "troupe_connections_accepted_total", "Connections accepted.");
METRIC_COUNTER(refused, "troupe_connections_refused_total", "Connections above a limit.");
METRIC_COUNTER(pauses, "troupe_accept_pauses_total", "Times that descriptors ran out.");

struct net_settings net_settings;

const struct setting net_setting_rows[] = {
    {.section = "net",
     .key = "listen",
     .type = SETTING_TEXT,
     .at = &net_settings.listen,
     .fallback = "127.0.0.1:8420",
     .max = 64,
     .needs_restart = true,
     .help = "Address and port to listen on. Before an owner exists only loopback is allowed."},
    {.section = "net",
     .key = "public_url",
     .type = SETTING_TEXT,
     .at = &net_settings.public_url,
     .fallback = "",
     .max = 255,
     .is_owners = true, /* links in mails lead there */
     .help =
         "The address that people use, when a proxy stands in front, and that links in mails begin with: https://troupe.example"},
    {.section = "net",
     .key = "trusted_proxies",
     .type = SETTING_TEXT,
     .at = &net_settings.trusted_proxies,
     .fallback = "",
     .max = 2000,
     .help =
         "Addresses or CIDR ranges whose X-Forwarded-For and -Proto are believed, separated by commas."},
    {.section = "net",
     .key = "allowed_origins",
     .type = SETTING_TEXT,
     .at = &net_settings.allowed_origins,
     .fallback = "",
     .max = 2000,
     .help =
         "Other web origins whose pages may call the API and open sockets, separated by commas."},
    {.section = "net",
     .key = "grace_ms",
     .type = SETTING_INT,
     .at = &net_settings.grace_ms,
     .fallback = "30000",
     .min = 0,
     .max = 3600000,
     .unit = "ms",
     .needs_restart = true, /* loop_catch_signals has it */
     .help = "How long a stop waits for replies under way."},
    {0}};

struct address_slot {
    int count;
    uint8_t len;
    char address[ADDRESS_BYTES];
};

static struct {
    uv_poll_t *polls[SOCKETS_LIMIT];
    int count;
    bool is_paused;
    bool is_loopback; /* every socket of ours */
    struct timer retry;
    struct map slots;
    char address[ADDRESS_BYTES];
    int64_t descriptors;
} listener;

static void accept_some(uv_poll_t *poll, int status, int events);

/* --- addresses -------------------------------------------------------------------------------- */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* "127.0.0.1:80", "[::1]:80", "localhost:80". */
static enum err address_parse(struct str text, union address *out) {
    ptrdiff_t colon = -1;
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] == ':')
            colon = (ptrdiff_t)i;
    int64_t port;
    char name[ADDRESS_BYTES];
    if (colon <= 0 || colon >= ADDRESS_BYTES ||
        str_to_int(str_slice(text, (size_t)colon + 1, text.len), &port) != E_OK || port < 0 ||
        port > 65535)
        return E_INPUT;
    struct str host = str_slice(text, 0, (size_t)colon);
    if (str_eq_nocase(host, STR("localhost")))
        host = STR("127.0.0.1");
    if (host.len > 2 && host.at[0] == '[' && host.at[host.len - 1] == ']')
        host = str_slice(host, 1, host.len - 1);
    memcpy(name, host.at, host.len);
    name[host.len] = '\0';
    memset(out, 0, sizeof(*out));
    return uv_ip4_addr(name, (int)port, &out->v4) == 0 ||
                   uv_ip6_addr(name, (int)port, &out->v6) == 0
               ? E_OK
               : E_INPUT;
}

/* The address alone; IPv4 inside IPv6 as IPv4, so that lists and limits know it by one name. */
static struct str address_print(const union address *address, char out[ADDRESS_BYTES]) {
    out[0] = '\0';
    if (address->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr))
        inet_ntop(AF_INET, &address->v6.sin6_addr.s6_addr[12], out, ADDRESS_BYTES);
    else if (address->any.sa_family == AF_INET6)
        inet_ntop(AF_INET6, &address->v6.sin6_addr, out, ADDRESS_BYTES);
    else if (address->any.sa_family == AF_INET)
        inet_ntop(AF_INET, &address->v4.sin_addr, out, ADDRESS_BYTES);
    return str_from(out);
}

static bool is_loopback(const union address *address) {
    if (address->any.sa_family == AF_INET)
        return (ntohl(address->v4.sin_addr.s_addr) >> 24) == 127;
    return address->any.sa_family == AF_INET6 && (IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr));
}

bool listener_is_loopback(struct str text) {
    union address address;
    return address_parse(text, &address) == E_OK && is_loopback(&address);
}

bool listener_needs_local_host(void) {
    return listener.is_loopback;
}

struct str listener_address(void) {
    return str_from(listener.address);
}

/* 16 bytes for either family, IPv4 mapped. */
static bool address_bytes(struct str text, uint8_t out[16], int *bits) {
    char name[ADDRESS_BYTES];
    if (text.len == 0 || text.len >= sizeof(name))
        return false;
    memcpy(name, text.at, text.len);
    name[text.len] = '\0';
    memset(out, 0, 16);
    *bits = 128;
    if (inet_pton(AF_INET6, name, out) == 1)
        return true;
    *bits = 32;
    out[10] = out[11] = 0xff;
    return inet_pton(AF_INET, name, out + 12) == 1;
}

static bool is_within(struct str address, struct str range) {
    uint8_t a[16], b[16];
    int bits_a, bits_b;
    struct str rest = range, base;
    int64_t prefix = -1;
    if (!str_next(&rest, '/', &base) || !address_bytes(address, a, &bits_a) ||
        !address_bytes(base, b, &bits_b) || bits_a != bits_b)
        return false;
    if (base.len == range.len)
        prefix = bits_b;
    else if (str_to_int(rest, &prefix) != E_OK || prefix < 0 || prefix > bits_b)
        return false;
    size_t count = (size_t)prefix + (size_t)(128 - bits_b);
    if (memcmp(a, b, count / 8) != 0)
        return false;
    uint8_t mask = (uint8_t)(0xff00 >> (count % 8));
    return count % 8 == 0 || ((a[count / 8] ^ b[count / 8]) & mask) == 0;
}

bool listener_is_proxy(struct str address) {
    struct str rest = net_settings.trusted_proxies;
    struct str range;
    while (str_next(&rest, ',', &range))
        if (is_within(address, str_trim(range)))
            return true;
    return false;
}

/* --- accepting -------------------------------------------------------------------------------- */

static void poll_all(bool is_on) {
    for (int i = 0; i < listener.count; i++) {
        if (is_on)
            uv_poll_start(listener.polls[i], UV_READABLE, accept_some);
        else
            uv_poll_stop(listener.polls[i]);
    }
}

static void try_again(void *ctx) {
    (void)ctx;
    if (!listener.is_paused)
        return;
    listener.is_paused = false;
    poll_all(true);
}

static void pause_accepting(void) {
    if (listener.is_paused)
        return;
    listener.is_paused = true;
    metric_add(&pauses, 1);
    log_warn("net", "accepting paused, no descriptors left", LF_INT("open", conn_count()));
    poll_all(false);
    timer_start(&listener.retry, RETRY_MS, try_again, NULL);
}

static struct address_slot *slot_ensure(struct str address) {
    struct address_slot *slot = map_find(&listener.slots, address);
    if (slot == NULL) {
        slot = calloc(1, sizeof(*slot));
        BUG_IF(slot == NULL);
        slot->len = (uint8_t)address.len;
        memcpy(slot->address, address.at, address.len);
        map_put(&listener.slots, address, slot);
    }
    slot->count++;
    return slot;
}

/* After a stop, with the last connection. */
static void release_slots(void) {
    if (listener.slots.count == 0 && listener.count == 0)
        map_release(&listener.slots);
}

void listener_forget(struct address_slot *slot) {
    if (slot != NULL && --slot->count == 0) {
        map_remove(&listener.slots, str_of(slot->address, slot->len));
        free(slot);
        release_slots();
    }
    if (listener.is_paused)
        loop_later(try_again, NULL);
}

static void take(int fd, const union address *peer) {
    char text[ADDRESS_BYTES], network[LIMIT_NETWORK_BYTES];
    struct str address = address_print(peer, text);
    bool is_from_proxy = net_settings.trusted_proxies.len > 0 && listener_is_proxy(address);
    struct address_slot *slot = is_from_proxy ? NULL : slot_ensure(limit_network(address, network));
    bool is_above =
        conn_count() >= limits.connections || (slot != NULL && limits.connections_per_address > 0 &&
                                               slot->count > limits.connections_per_address);
    metric_add(is_above ? &refused : &accepted, 1);
    if (is_above && http_refused_count() >= REFUSED_LIMIT) {
        listener_forget(slot);
        close(fd);
        return;
    }
    struct conn *conn = conn_adopt(fd, address, slot, is_from_proxy);
    if (conn != NULL && is_above)
        http_refuse(conn);
}

static void accept_some(uv_poll_t *poll, int status, int events) {
    (void)events;
    int fd;
    if (status < 0 || uv_fileno((uv_handle_t *)poll, &fd) != 0)
        return;
    for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
        if (conn_count() + SPARE_DESCRIPTORS >= listener.descriptors) {
            pause_accepting();
            return;
        }
        union address peer = {0};
        socklen_t len = sizeof(peer);
        int peer_fd = accept4(fd, &peer.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (peer_fd >= 0) {
            take(peer_fd, &peer);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            pause_accepting();
        if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

/* --- starting --------------------------------------------------------------------------------- */

/* As many descriptors as we may have: a connection is one. */
static void raise_descriptors(void) {
    struct rlimit limit;
    listener.descriptors = 1024;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
    listener.descriptors = limit.rlim_cur > 1 << 20 ? 1 << 20 : (int64_t)limit.rlim_cur;
}

static enum err fail(const char *what, struct str address, int error, int fd) {
    log_error("net", what, LF_STR("address", address), LF_Z("reason", strerror(error)));
    if (fd >= 0)
        close(fd);
    return error == EACCES || error == EPERM ? E_DENIED : E_BUSY;
}

static enum err listen_on(struct str text, int *out) {
    union address address;
    int on = 1;
    if (address_parse(text, &address) != E_OK) {
        log_error("net", "address to listen on is not ADDRESS:PORT", LF_STR("address", text));
        return E_INPUT;
    }
    bool is_v6 = address.any.sa_family == AF_INET6;
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail("socket could not be made", text, errno, -1);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)); /* restart while old ones linger */
    socklen_t len = is_v6 ? sizeof(address.v6) : sizeof(address.v4);
    if (bind(fd, &address.any, len) != 0)
        return fail("address could not be taken", text, errno, fd);
    if (listen(fd, BACKLOG) != 0)
        return fail("listening failed", text, errno, fd);
    *out = fd;
    return E_OK;
}

static enum err add_socket(int fd) {
    if (listener.count == SOCKETS_LIMIT)
        return E_LIMIT;
    uv_poll_t *poll = calloc(1, sizeof(*poll));
    BUG_IF(poll == NULL);
    if (uv_poll_init(loop_uv(), poll, fd) != 0) {
        free(poll);
        return E_INPUT;
    }
    union address address = {0};
    socklen_t len = sizeof(address);
    getsockname(fd, &address.any, &len);
    char text[ADDRESS_BYTES];
    address_print(&address, text);
    bool is_v6 = address.any.sa_family == AF_INET6;
    int port = ntohs(is_v6 ? address.v6.sin6_port : address.v4.sin_port);
    if (listener.count == 0)
        snprintf(listener.address, sizeof(listener.address), is_v6 ? "[%.48s]:%d" : "%.48s:%d",
                 text, port);
    listener.is_loopback = is_loopback(&address) && (listener.count == 0 || listener.is_loopback);
    listener.polls[listener.count++] = poll;
    return uv_poll_start(poll, UV_READABLE, accept_some) == 0 ? E_OK : E_BUSY;
}

/* Sockets from systemd: descriptors 3 and up, meant for this process. */
static int systemd_count(void) {
    const char *pid = getenv("LISTEN_PID");
    const char *fds = getenv("LISTEN_FDS");
    int64_t pid_number, count;
    if (pid == NULL || fds == NULL || str_to_int(str_from(pid), &pid_number) != E_OK ||
        str_to_int(str_from(fds), &count) != E_OK || pid_number != getpid() || count < 1)
        return 0;
    return count > SOCKETS_LIMIT ? SOCKETS_LIMIT : (int)count;
}

static enum err adopt_systemd(int count) {
    for (int i = 0; i < count; i++) {
        int fd = SYSTEMD_FIRST_FD + i;
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        enum err err = add_socket(fd);
        if (err != E_OK) {
            log_error("net", "socket from systemd could not be used", LF_INT("descriptor", fd));
            return err;
        }
    }
    return E_OK;
}

static void drain_now(void *ctx) {
    (void)ctx;
    listener_drain();
}

static void stop_now(void *ctx) {
    (void)ctx;
    listener_stop();
}

static void make_ready(void) {
    http_init();
    map_init(&listener.slots);
    raise_descriptors();
    loop_on_drain(drain_now, NULL);
    loop_on_stopped(stop_now, NULL);
}

/* Else it would say that it listens, and take nobody in. */
static bool has_descriptors(struct str address) {
    if (listener.descriptors >= SPARE_DESCRIPTORS + FEWEST_CONNECTIONS)
        return true;
    log_error("net",
              "too few descriptors to serve anybody; raise the limit of open files (ulimit -n)",
              LF_STR("address", address), LF_INT("limit", listener.descriptors),
              LF_INT("needed", SPARE_DESCRIPTORS + FEWEST_CONNECTIONS));
    return false;
}

enum err listener_start(struct str address) {
    int fd = -1;
    if (listener.count == 0)
        make_ready();
    if (!has_descriptors(address))
        return E_LIMIT;
    int inherited = listener.count == 0 ? systemd_count() : 0;
    if (inherited > 0)
        return adopt_systemd(inherited);
    enum err err = listen_on(address, &fd);
    return err == E_OK ? add_socket(fd) : err;
}

/* --- stopping --------------------------------------------------------------------------------- */

static void poll_closed(uv_handle_t *handle) {
    free(handle);
}

void listener_drain(void) {
    timer_stop(&listener.retry);
    listener.is_paused = false;
    for (int i = 0; i < listener.count; i++) {
        int fd;
        if (uv_fileno((uv_handle_t *)listener.polls[i], &fd) == 0) {
            uv_poll_stop(listener.polls[i]);
            close(fd); /* who comes now is refused at once, or waits in systemd's hands */
        }
        uv_close((uv_handle_t *)listener.polls[i], poll_closed);
    }
    listener.count = 0;
    release_slots();
    http_drain();
}

void listener_stop(void) {
    listener_drain();
    conn_close_all();
}
