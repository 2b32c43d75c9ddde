/*
 * Rooms hang in a map by conversation, and in a list in the order of their last event, join or
 * leave. Every SWEEP_MS the head of that list is looked at: a room in which nobody listens and
 * nobody speaks goes after LINGER_S; a room with listeners in which nothing happened for
 * PAST_KEEP_S forgets its events, so that a quiet room costs little. (Who comes back later than
 * that reads its messages again.)
 *
 * A membership is known from both sides: the room has an array (fan-out walks it), the channel a
 * list (so that a lost connection leaves all its rooms). Sending never changes either: a channel
 * that is closed for being slow tells so later, by channel_owner.closed.
 *
 * seq: the events 1..n of a room are seq base+1..base+n. The base of a new room is taken from the
 * clock, and never below what any room before it has given, so that a client's seq from an older
 * life of the room is always below it and is answered with resumed: false.
 *
 * A room that was never joined keeps no events: nobody can know a seq of it.
 */
#include "conversation/room.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/map.h"
#include "base/metric.h"
#include "conversation/past.h"
#include "loop/loop.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define SWEEP_MS         30000
#define LINGER_S         120 /* a phone that changes networks is back by then */
#define PAST_KEEP_S      300
#define SEQ_EPOCH_MS     INT64_C(1577836800000) /* 2020, as in ids */
#define SEQ_PER_MS       64
#define JOINED_BYTES_MAX ((size_t)16 << 20) /* the texts under way; far above any reply */
#define WS_CODE_SERVER   1011

METRIC_GAUGE(rooms_open, "troupe_rooms_open", "Conversations with listeners or a reply under way.");

/* A channel in a room. */
struct membership {
    struct list of_channel;
    struct room *room;
    uint32_t place; /* in room->members */
};

struct member {
    struct channel *channel;
    struct membership *membership;
};

struct room {
    int64_t conversation_id;
    int64_t seq; /* of the last event */
    struct past past;
    struct list all;
    struct list speeches; /* struct room_speech */
    struct member *members;
    uint32_t member_count, member_room;
    uint32_t active_s; /* the second of the clock of the last event, join or leave */
    bool was_joined;
};

static struct {
    struct map by_conversation;
    struct list all;     /* the longest quiet first */
    int64_t highest_seq; /* that a room which is gone has given */
    struct timer sweep;
} rooms;

/* --- life ------------------------------------------------------------------------------------- */

static void sweep(void *ctx);

static void touch(struct room *room) {
    room->active_s = (uint32_t)(clock_mono_us() / 1000000);
    list_remove(&room->all);
    list_add_last(&rooms.all, &room->all);
}

static struct room *find(int64_t conversation_id) {
    return map_find_id(&rooms.by_conversation, conversation_id);
}

static int64_t first_seq(void) {
    int64_t by_clock = (clock_now_ms() - SEQ_EPOCH_MS) * SEQ_PER_MS;
    return by_clock > rooms.highest_seq ? by_clock : rooms.highest_seq + 1;
}

static struct room *ensure(int64_t conversation_id) {
    struct room *room = find(conversation_id);
    if (room != NULL)
        return room;
    if (rooms.all.next == NULL)
        list_init(&rooms.all);
    room = calloc(1, sizeof(*room));
    if (room == NULL)
        BUG("out of memory: a room");
    room->conversation_id = conversation_id;
    room->seq = room->past.lost_seq = first_seq();
    list_init(&room->speeches);
    map_put_id(&rooms.by_conversation, conversation_id, room);
    touch(room);
    metric_add(&rooms_open, 1);
    if (!timer_is_armed(&rooms.sweep))
        timer_start(&rooms.sweep, SWEEP_MS, sweep, NULL);
    return room;
}

static void leave(struct membership *membership);

static void room_free(struct room *room) {
    while (room->member_count > 0)
        leave(room->members[room->member_count - 1].membership);
    LIST_EACH_SAFE(&room->speeches, node)
        list_remove(node);
    if (room->seq > rooms.highest_seq)
        rooms.highest_seq = room->seq;
    past_clear(&room->past, room->seq);
    map_remove_id(&rooms.by_conversation, room->conversation_id);
    list_remove(&room->all);
    metric_add(&rooms_open, -1);
    free(room->members);
    free(room);
}

static void sweep(void *ctx) {
    (void)ctx;
    uint32_t now = (uint32_t)(clock_mono_us() / 1000000);
    LIST_EACH_SAFE(&rooms.all, node) {
        struct room *room = CONTAINER_OF(node, struct room, all);
        uint32_t quiet_s = now - room->active_s;
        if (quiet_s < LINGER_S)
            break;
        if (room->member_count == 0 && list_is_empty(&room->speeches))
            room_free(room);
        else if (quiet_s >= PAST_KEEP_S && list_is_empty(&room->speeches))
            past_clear(&room->past, room->seq);
    }
    if (rooms.by_conversation.count > 0)
        timer_start(&rooms.sweep, SWEEP_MS, sweep, NULL);
}

int64_t room_count(void) {
    return (int64_t)rooms.by_conversation.count;
}

void room_release_all(void) {
    while (rooms.by_conversation.count > 0)
        room_free(CONTAINER_OF(rooms.all.next, struct room, all));
    timer_stop(&rooms.sweep);
    map_release(&rooms.by_conversation);
}

/* --- events ----------------------------------------------------------------------------------- */

static void give_to_all(struct room *room, struct frame *frame, const struct channel *except) {
    for (uint32_t i = 0; i < room->member_count; i++)
        if (room->members[i].channel != except)
            channel_send(room->members[i].channel, frame);
}

void room_publish(int64_t conversation_id, const char *type, struct str data) {
    struct room *room = find(conversation_id);
    if (room == NULL)
        return;
    touch(room);
    room->seq++;
    if (!room->was_joined) {
        room->past.lost_seq = room->seq;
        return;
    }
    bool is_kept = past_add_piece(&room->past, room->seq, type, data);
    if (is_kept && room->member_count == 0)
        return;
    struct frame *frame = frame_new(type, room->seq, conversation_id, data);
    if (!is_kept)
        past_add_frame(&room->past, frame);
    give_to_all(room, frame, NULL);
    frame_let_go(frame);
}

void room_broadcast(int64_t conversation_id, const char *type, struct str data,
                    const struct channel *except) {
    struct room *room = find(conversation_id);
    if (room == NULL || room->member_count == 0)
        return;
    struct frame *frame = frame_new(type, 0, conversation_id, data);
    give_to_all(room, frame, except);
    frame_let_go(frame);
}

/* --- joining ---------------------------------------------------------------------------------- */

static void write_speech(struct json *json, const struct room_speech *speech) {
    json_object_begin(json);
    JSON_ID(json, "turn_id", speech->turn_id);
    JSON_ID(json, "message_id", speech->message_id);
    JSON_INT(json, "swipe", speech->swipe);
    JSON_STR(json, "content", speech->text.at ? speech->text : STR(""));
    if (speech->reasoning.len > 0)
        JSON_STR(json, "reasoning", speech->reasoning);
    json_object_end(json);
}

static void write_joined(struct json *json, const struct room *room, bool is_resumed) {
    json_object_begin(json);
    JSON_ID(json, "conversation_id", room->conversation_id);
    JSON_INT(json, "seq", room->seq);
    JSON_BOOL(json, "resumed", is_resumed);
    JSON_ARRAY(json, "streaming");
    if (!is_resumed)
        LIST_EACH(&room->speeches, node)
            write_speech(json, CONTAINER_OF(node, struct room_speech, link));
    json_array_end(json);
    json_object_end(json);
}

/* The frame has no seq of its own, but an SSE client must know where it stands from the first event
 * on. */
static void send_joined(struct room *room, struct channel *channel, int64_t stands_at,
                        bool is_resumed) {
    struct buf buf;
    struct json json;
    buf_init(&buf, JOINED_BYTES_MAX);
    json_init(&json, &buf);
    write_joined(&json, room, is_resumed);
    if (buf.err == E_OK) {
        struct frame *frame = frame_new("conversation:joined", 0, 0, buf_str(&buf));
        frame->sse_id = stands_at;
        channel_send(channel, frame);
        frame_let_go(frame);
    } else {
        channel_close(channel, WS_CODE_SERVER, "the reply under way is too long to show");
    }
    buf_release(&buf);
}

static struct membership *find_membership(const struct room *room, const struct channel *channel) {
    struct list *memberships = channel_memberships((struct channel *)(uintptr_t)channel);
    LIST_EACH(memberships, node) {
        struct membership *membership = CONTAINER_OF(node, struct membership, of_channel);
        if (membership->room == room)
            return membership;
    }
    return NULL;
}

static bool has_too_many_rooms(struct channel *channel) {
    int count = 0;
    LIST_EACH(channel_memberships(channel), node)
        count++;
    return count >= ROOMS_PER_CHANNEL;
}

/* One listener is the rule, so the array begins with one place. */
static struct member *add_place(struct room *room) {
    if (room->member_count == room->member_room) {
        room->member_room = room->member_room ? room->member_room * 2 : 1;
        room->members = realloc(room->members, room->member_room * sizeof(*room->members));
        if (room->members == NULL)
            BUG("out of memory: %u listeners", room->member_room);
    }
    return &room->members[room->member_count++];
}

static void enter(struct room *room, struct channel *channel) {
    struct membership *membership = malloc(sizeof(*membership));
    if (membership == NULL)
        BUG("out of memory: a listener");
    *membership = (struct membership){.room = room, .place = room->member_count};
    list_add_last(channel_memberships(channel), &membership->of_channel);
    *add_place(room) = (struct member){channel, membership};
    room->was_joined = true;
}

static void give_again(void *ctx, struct frame *frame) {
    channel_send(ctx, frame);
}

bool room_join(int64_t conversation_id, struct channel *channel, int64_t after_seq) {
    struct room *room = find(conversation_id);
    bool is_new = room == NULL || find_membership(room, channel) == NULL;
    if (is_new && has_too_many_rooms(channel))
        return false;
    room = ensure(conversation_id);
    touch(room);
    if (is_new)
        enter(room, channel);
    bool is_resumed = past_reaches(&room->past, after_seq);
    send_joined(room, channel, is_resumed ? after_seq : room->seq, is_resumed);
    if (is_resumed)
        past_replay(&room->past, conversation_id, after_seq, give_again, channel);
    return true;
}

bool room_has(int64_t conversation_id, const struct channel *channel) {
    const struct room *room = find(conversation_id);
    return room != NULL && find_membership(room, channel) != NULL;
}

int64_t room_listeners(int64_t conversation_id) {
    const struct room *room = find(conversation_id);
    return room == NULL ? 0 : room->member_count;
}

/* --- leaving ---------------------------------------------------------------------------------- */

/* The last member takes the place that becomes free. */
static void leave(struct membership *membership) {
    struct room *room = membership->room;
    struct member *last = &room->members[--room->member_count];
    last->membership->place = membership->place;
    room->members[membership->place] = *last;
    list_remove(&membership->of_channel);
    free(membership);
    if (room->member_count == 0) {
        free(room->members);
        room->members = NULL;
        room->member_room = 0;
    }
}

void room_leave(int64_t conversation_id, struct channel *channel) {
    struct room *room = find(conversation_id);
    struct membership *membership = room == NULL ? NULL : find_membership(room, channel);
    if (membership == NULL)
        return;
    touch(room);
    leave(membership);
}

void room_leave_all(struct channel *channel) {
    LIST_EACH_SAFE(channel_memberships(channel), node) {
        struct membership *membership = CONTAINER_OF(node, struct membership, of_channel);
        touch(membership->room);
        leave(membership);
    }
}

/* --- speeches and ends ------------------------------------------------------------------------ */

void room_speech_begin(int64_t conversation_id, struct room_speech *speech) {
    struct room *room = ensure(conversation_id);
    touch(room);
    list_add_last(&room->speeches, &speech->link);
}

void room_speech_end(struct room_speech *speech) {
    list_remove(&speech->link);
}

static void show_out(struct room *room, struct channel *channel) {
    struct buf buf;
    struct json json;
    buf_init(&buf, 1024);
    json_init(&json, &buf);
    json_object_begin(&json);
    JSON_STR(&json, "code", STR("not_found"));
    JSON_STR(&json, "detail", STR("This conversation is not here any more."));
    JSON_ID(&json, "conversation_id", room->conversation_id);
    json_object_end(&json);
    channel_tell(channel, "error", buf_str(&buf));
    buf_release(&buf);
    if (channel_is_single(channel))
        channel_finish(channel);
}

void room_close(int64_t conversation_id) {
    struct room *room = find(conversation_id);
    if (room == NULL)
        return;
    for (uint32_t i = 0; i < room->member_count; i++)
        show_out(room, room->members[i].channel);
    room_free(room);
}
