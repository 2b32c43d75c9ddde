/*
 * What all carriers share: the list of channels, the bound on what is unsent, the sweep, and ends
 * that concern many channels at once.
 *
 * The sweep is one timer for all, not one per channel. The list is kept in the order of the last
 * visit, so each tick looks at its head only: whoever was visited VISIT_S ago is visited and goes
 * to the tail. A tick visits a bounded number, so 10,000 channels that were opened together spread
 * out instead of costing one long turn. A visit ends a channel whose token has been expired for
 * EXPIRED_GRACE_MS, and lets the carrier keep its connection awake.
 *
 * Not here: what travels inside (conversation/live.c), who is in which room (room.c).
 */
#include "net/carrier.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/metric.h"
#include "loop/loop.h"
#include "net/ws_frame.h"

#include "base/banned.h"

#define UNSENT_LIMIT_BYTES ((size_t)1 << 20) /* a phone on 3G drains this in about 10 s */
#define TICK_MS            1000
#define VISIT_S            12 /* with a tick of delay within the 15 s after which proxies nod off */
#define VISITS_PER_TICK    64
#define EXPIRED_GRACE_MS   60000 /* a client renews its token a little late, when it wakes up */
#define SLOW_REASON        "too slow: come back with the last seq"

METRIC_GAUGE(channels_open, "troupe_channels_open", "Realtime listeners, on all carriers.");
METRIC_COUNTER(channels_slow, "troupe_channels_slow_total",
               "Realtime listeners closed because they did not read.");
METRIC_COUNTER(frames_sent, "troupe_channel_frames_total", "Events given to listeners.");

static struct {
    struct list all; /* the longest unvisited first */
    int64_t count;
    struct timer tick;
} channels;

static uint32_t now_s(void) {
    return (uint32_t)(clock_mono_us() / 1000000);
}

/* --- the sweep -------------------------------------------------------------------------------- */

/* A key may have no end: INT64_MAX, to which nothing can be added. */
static bool is_expired(const struct channel *channel) {
    return channel->caller.until_ms != 0 &&
           clock_now_ms() - EXPIRED_GRACE_MS > channel->caller.until_ms;
}

static void visit(struct channel *channel) {
    list_remove(&channel->all);
    list_add_last(&channels.all, &channel->all);
    channel->visited_s = now_s();
    if (channel->is_open && is_expired(channel))
        channel_close(channel, WS_CODE_SIGN_IN, "the token has expired");
    if (channel->carrier->keep_alive != NULL)
        channel->carrier->keep_alive(channel);
}

static void tick(void *ctx) {
    (void)ctx;
    int64_t left = VISITS_PER_TICK + channels.count / 8;
    uint32_t now = now_s();
    while (left-- > 0 && !list_is_empty(&channels.all)) {
        struct channel *channel = CONTAINER_OF(channels.all.next, struct channel, all);
        MAGIC_CHECK(channel, CHANNEL_MAGIC);
        if (now - channel->visited_s < VISIT_S)
            break;
        visit(channel);
    }
    if (channels.count > 0)
        timer_start(&channels.tick, TICK_MS, tick, NULL);
}

/* --- for carriers ----------------------------------------------------------------------------- */

void channel_begin(struct channel *channel, const struct carrier *carrier,
                   const struct channel_owner *owner, const struct caller *caller) {
    if (channels.all.next == NULL)
        list_init(&channels.all);
    *channel = (struct channel){.magic = CHANNEL_MAGIC,
                                .is_open = true,
                                .visited_s = now_s(),
                                .carrier = carrier,
                                .owner = owner,
                                .caller = *caller};
    list_init(&channel->memberships);
    list_add_last(&channels.all, &channel->all);
    channels.count++;
    metric_add(&channels_open, 1);
    if (!timer_is_armed(&channels.tick))
        timer_start(&channels.tick, TICK_MS, tick, NULL);
}

void channel_received(struct channel *channel, const struct json_value *frame,
                      struct arena *arena) {
    struct str type = json_string(json_member(frame, "type"), STR_NONE);
    if (channel->is_open && channel->owner->received != NULL)
        channel->owner->received(channel, type, frame, arena);
}

void channel_gone(struct channel *channel) {
    MAGIC_CHECK(channel, CHANNEL_MAGIC);
    channel->is_open = false;
    list_remove(&channel->all);
    channels.count--;
    metric_add(&channels_open, -1);
    if (channels.count == 0)
        timer_stop(&channels.tick);
    if (channel->owner->closed != NULL)
        channel->owner->closed(channel);
    BUG_IF(!list_is_empty(&channel->memberships)); /* a room would keep a dangling pointer */
    channel->magic = 0;
}

/* --- for features ----------------------------------------------------------------------------- */

static void end(struct channel *channel, int code, const char *reason, bool is_stuck) {
    if (!channel->is_open)
        return;
    channel->is_open = false;
    channel->carrier->close(channel, code, reason, is_stuck);
}

void channel_send(struct channel *channel, struct frame *frame) {
    MAGIC_CHECK(channel, CHANNEL_MAGIC);
    if (!channel->is_open)
        return;
    if (channel->carrier->unsent_bytes(channel) > UNSENT_LIMIT_BYTES) {
        metric_add(&channels_slow, 1);
        end(channel, WS_CODE_TRY_LATER, SLOW_REASON, true);
        return;
    }
    metric_add(&frames_sent, 1);
    channel->carrier->send(channel, frame);
}

void channel_tell(struct channel *channel, const char *type, struct str data) {
    struct frame *frame = frame_new(type, 0, 0, data);
    channel_send(channel, frame);
    frame_let_go(frame);
}

void channel_error(struct channel *channel, const char *code, const char *detail) {
    struct buf buf;
    struct json json;
    buf_init(&buf, 16 << 10);
    json_init(&json, &buf);
    json_object_begin(&json);
    JSON_STR(&json, "code", str_from(code));
    JSON_STR(&json, "detail", str_from(detail));
    json_object_end(&json);
    channel_tell(channel, "error", buf_str(&buf));
    buf_release(&buf);
}

void channel_close(struct channel *channel, int code, const char *reason) {
    end(channel, code, reason, false);
}

void channel_finish(struct channel *channel) {
    end(channel, WS_CODE_NORMAL, "", false);
}

bool channel_is_open(const struct channel *channel) {
    return channel->is_open;
}

const struct caller *channel_caller(const struct channel *channel) {
    return &channel->caller;
}

bool channel_is_single(const struct channel *channel) {
    return channel->carrier->is_single;
}

void *channel_get(const struct channel *channel) {
    return channel->pointer;
}

void channel_set(struct channel *channel, void *pointer) {
    channel->pointer = pointer;
}

struct list *channel_memberships(struct channel *channel) {
    return &channel->memberships;
}

size_t channel_unsent_bytes(const struct channel *channel) {
    return channel->carrier->unsent_bytes(channel);
}

bool channel_may_ping(struct channel *channel) {
    return channel->carrier->may_ping == NULL || channel->carrier->may_ping(channel);
}

/* --- many at once ----------------------------------------------------------------------------- */

static bool matches(int64_t mine, int64_t wanted) {
    return wanted != 0 && mine == wanted;
}

void channel_end_session(int64_t user_id, int64_t session_id, int64_t api_key_id) {
    if (channels.count == 0)
        return;
    LIST_EACH(&channels.all, node) {
        struct channel *channel = CONTAINER_OF(node, struct channel, all);
        const struct caller *caller = &channel->caller;
        if (matches(caller->user_id, user_id) || matches(caller->session_id, session_id) ||
            matches(caller->api_key_id, api_key_id))
            channel_close(channel, WS_CODE_SIGN_IN, "the session has ended");
    }
}

void channel_send_user(int64_t user_id, struct frame *frame) {
    if (channels.count == 0)
        return;
    LIST_EACH(&channels.all, node) {
        struct channel *channel = CONTAINER_OF(node, struct channel, all);
        if (matches(channel->caller.user_id, user_id) && !channel_is_single(channel))
            channel_send(channel, frame);
    }
}

void channel_end_other_sessions(int64_t user_id, int64_t session_id) {
    if (channels.count == 0)
        return;
    LIST_EACH(&channels.all, node) {
        struct channel *channel = CONTAINER_OF(node, struct channel, all);
        const struct caller *caller = &channel->caller;
        if (matches(caller->user_id, user_id) && caller->session_id != 0 &&
            caller->session_id != session_id)
            channel_close(channel, WS_CODE_SIGN_IN, "the session has ended");
    }
}

void channel_drain(void) {
    if (channels.count == 0)
        return;
    LIST_EACH(&channels.all, node)
        channel_close(CONTAINER_OF(node, struct channel, all), WS_CODE_GOING_AWAY,
                      "the server is stopping");
}

int64_t channel_count(void) {
    return channels.count;
}
