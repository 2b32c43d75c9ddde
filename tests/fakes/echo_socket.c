/*
 * An echo server over the product's own WebSocket, on a real socket: what suites from outside ask
 * for (Autobahn's server cases), because Troupe itself never echoes.
 *
 *     echo_socket [ADDRESS]        127.0.0.1:0 when none is given; prints where it listens
 *
 * Every message comes back as it came, at any path segment under /: limits are those of the suite
 * (16 MiB, 65,536 fragments and some more), pings are not counted. It ends like the product, by
 * SIGTERM, so that a sanitizer can look for leaks. docs/testing.md says how a suite is put on it.
 */
#include "base/clock.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "net/listener.h"
#include "net/limit.h"
#include "net/router.h"
#include "net/ws.h"

#include <stdio.h>
#include <stdlib.h>

#define GRACE_MS 1000

static const struct ws_limits ample = {.message_bytes = 32 << 20, .fragments = 300000};

static void echo(struct ws *ws, bool is_text, struct str bytes) {
    ws_send(ws, is_text, bytes);
}

static void gone(struct ws *ws) {
    free(ws);
}

static const struct ws_handler echo_handler = {.message = echo, .closed = gone};

static void get_echo(struct request *request) {
    struct str protocol;
    if (!ws_check(request, "echo", &protocol))
        return;
    struct ws *ws = malloc(sizeof(*ws));
    if (ws == NULL || !ws_accept(request, ws, &echo_handler, &ample, protocol))
        free(ws);
}

static const struct route echo_routes[] = {
    {.method = METHOD_GET, .pattern = "/echo", .handle = get_echo, .who = WHO_ANYONE}, {0}};
static const struct route *const tables[] = {echo_routes, NULL};

static void drain(void *ctx) {
    (void)ctx;
    listener_drain();
}

static void nothing(void *ctx) {
    (void)ctx;
}

int main(int argc, char **argv) {
    clock_init();
    loop_init();
    mailbox_init();
    limits = (struct limits){.connections = 1024};
    net_settings = (struct net_settings){.public_url = STR("")};
    router_init(tables);
    if (listener_start(argc > 1 ? str_from(argv[1]) : STR("127.0.0.1:0")) != E_OK)
        return 1;
    struct str address = listener_address();
    printf("listening on ws://" STR_FMT "/echo\n", STR_ARG(address));
    fflush(stdout);
    loop_on_drain(drain, NULL);
    loop_catch_signals(GRACE_MS, nothing, NULL);
    loop_run();
    listener_stop();
    router_release();
    limit_release();
    mailbox_release();
    loop_release();
    return 0;
}
