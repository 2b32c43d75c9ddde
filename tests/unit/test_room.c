/* links: troupe_conversation */
/*
 * Rooms with a carrier that only remembers: what a listener is sent, in which order, and that
 * whoever comes back with a seq misses nothing and sees nothing twice.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "conversation/past.h"
#include "conversation/room.h"
#include "loop/loop.h"
#include "net/carrier.h"

#include <fcntl.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define HERE  101
#define THERE 202

/* --- a carrier that remembers ----------------------------------------------------------------- */

struct listener {
    struct channel channel;
    struct buf heard; /* the frames' JSON, a line each */
    int64_t first_seq, last_seq;
    int64_t frames;
    bool has_gap; /* a seq that is not the one before plus one */
    int closed_code;
    bool was_stuck;
    size_t unsent_bytes;
    bool is_recording_off;
};

static struct listener *listener_of(const struct channel *channel) {
    return (struct listener *)(uintptr_t)channel;
}

static void hear(struct channel *channel, struct frame *frame) {
    struct listener *listener = listener_of(channel);
    if (frame->seq != 0) {
        listener->has_gap |= listener->last_seq != 0 && frame->seq != listener->last_seq + 1;
        if (listener->first_seq == 0)
            listener->first_seq = frame->seq;
        listener->last_seq = frame->seq;
    }
    listener->frames++;
    if (listener->is_recording_off)
        return;
    buf_add_str(&listener->heard, frame->text);
    buf_add_char(&listener->heard, '\n');
}

static size_t unsent(const struct channel *channel) {
    return listener_of(channel)->unsent_bytes;
}

static void close_it(struct channel *channel, int code, const char *reason, bool is_stuck) {
    (void)reason;
    listener_of(channel)->closed_code = code;
    listener_of(channel)->was_stuck = is_stuck;
}

static const struct carrier memory_carrier = {
    .name = "memory", .send = hear, .unsent_bytes = unsent, .close = close_it};
static const struct carrier single_carrier = {
    .name = "single", .is_single = true, .send = hear, .unsent_bytes = unsent, .close = close_it};
static const struct channel_owner owner = {.closed = room_leave_all};

static void arrive_by(struct listener *listener, const struct carrier *carrier) {
    static const struct caller caller = {.user_id = 1};
    *listener = (struct listener){0};
    buf_init(&listener->heard, 64 << 20);
    channel_begin(&listener->channel, carrier, &owner, &caller);
}

static void arrive(struct listener *listener) {
    arrive_by(listener, &memory_carrier);
}

static void vanish(struct listener *listener) {
    channel_gone(&listener->channel);
    buf_release(&listener->heard);
}

static bool heard(const struct listener *listener, const char *part) {
    return str_has(buf_str(&listener->heard), str_from(part));
}

static void forget(struct listener *listener) {
    buf_clear(&listener->heard);
    listener->first_seq = listener->last_seq = listener->frames = 0;
}

static void publish_number(int64_t conversation_id, int number) {
    char data[64];
    snprintf(data, sizeof(data), "{\"n\":%d}", number);
    room_publish(conversation_id, "message:updated", str_from(data));
}

static void publish_chunk(int64_t conversation_id, const char *message_id, const char *delta) {
    char data[1024];
    snprintf(data, sizeof(data), "{\"message_id\":\"%s\",\"delta\":\"%s\"}", message_id, delta);
    room_publish(conversation_id, "message:stream:chunk", str_from(data));
}

/* --- time ------------------------------------------------------------------------------------- */

static char clock_path[32];
static int clock_file;

static void move_clock(int64_t ms) {
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)ms >> (8 * i));
    assert_int_equal(pwrite(clock_file, bytes, sizeof(bytes), 0), sizeof(bytes));
}

static int set_up(void **state) {
    (void)state;
    snprintf(clock_path, sizeof(clock_path), "/tmp/troupe-room-XXXXXX");
    clock_file = mkstemp(clock_path);
    setenv("TROUPE_TEST_CLOCK", clock_path, 1);
    clock_init();
    move_clock(0);
    loop_init();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    room_release_all();
    loop_release();
    close(clock_file);
    unlink(clock_path);
    return 0;
}

static void stop_loop(void *ctx) {
    (void)ctx;
    loop_stop(0);
}

/* --- cases ------------------------------------------------------------------------------------ */

static void no_room_without_listeners(void **state) {
    (void)state;
    publish_number(HERE, 1);
    assert_int_equal(room_count(), 0);
    assert_int_equal(room_listeners(HERE), 0);
    struct listener a;
    arrive(&a);
    room_leave(HERE, &a.channel);
    room_leave_all(&a.channel);
    assert_int_equal(room_count(), 0);
    vanish(&a);
}

static void joined_tells_where_one_stands(void **state) {
    (void)state;
    struct listener a;
    arrive(&a);
    assert_true(room_join(HERE, &a.channel, -1));
    assert_true(heard(&a, "{\"type\":\"conversation:joined\",\"data\":{\"conversation_id\":"));
    assert_true(heard(&a, "\"resumed\":false,\"streaming\":[]"));
    assert_int_equal(room_listeners(HERE), 1);
    assert_true(room_has(HERE, &a.channel));
    publish_number(HERE, 1);
    assert_true(heard(&a, "\"conversation_id\":\"0000000000035\",\"data\":{\"n\":1}}"));
    /* joined.seq is the seq before the first event that follows */
    char seq[64];
    snprintf(seq, sizeof(seq), "\"seq\":%lld,\"resumed\"", (long long)a.first_seq - 1);
    assert_true(heard(&a, seq));
    vanish(&a);
    assert_int_equal(room_listeners(HERE), 0);
}

static void everybody_hears_everything_in_order(void **state) {
    (void)state;
    struct listener a, b, elsewhere;
    arrive(&a);
    arrive(&b);
    arrive(&elsewhere);
    room_join(HERE, &a.channel, -1);
    room_join(HERE, &b.channel, -1);
    room_join(THERE, &elsewhere.channel, -1);
    for (int i = 0; i < 100; i++)
        publish_number(HERE, i);
    assert_int_equal(a.frames, 101);
    assert_false(a.has_gap);
    forget(&elsewhere);
    assert_int_equal(elsewhere.frames, 0);
    vanish(&a); /* the others stay in their places */
    forget(&b);
    publish_number(HERE, 100);
    assert_true(heard(&b, "{\"n\":100}"));
    room_leave(HERE, &b.channel);
    forget(&b);
    publish_number(HERE, 101);
    assert_int_equal(b.frames, 0);
    vanish(&b);
    vanish(&elsewhere);
}

/* Whoever comes and goes in whatever order: those who are in hear, those who are out do not. */
static void comings_and_goings(void **state) {
    (void)state;
    enum { COUNT = 12 };
    static struct listener many[COUNT];
    bool is_here[COUNT] = {false};
    uint32_t dice = 1;
    for (int i = 0; i < COUNT; i++)
        arrive(&many[i]);
    for (int round = 0; round < 2000; round++) {
        dice = dice * 1664525 + 1013904223;
        int who = (int)(dice >> 16) % COUNT;
        if (is_here[who])
            room_leave(HERE, &many[who].channel);
        else
            room_join(HERE, &many[who].channel, -1);
        is_here[who] = !is_here[who];
        int64_t here = 0;
        for (int i = 0; i < COUNT; i++)
            forget(&many[i]);
        publish_number(HERE, round);
        for (int i = 0; i < COUNT; i++) {
            assert_int_equal(many[i].frames, is_here[i]);
            assert_int_equal(room_has(HERE, &many[i].channel), is_here[i]);
            here += is_here[i];
        }
        assert_int_equal(room_listeners(HERE), here);
    }
    for (int i = 0; i < COUNT; i++)
        vanish(&many[i]);
    assert_int_equal(room_listeners(HERE), 0);
}

/* Every way to come back: nothing missed, nothing twice, byte for byte what others heard. */
static void resume_is_exact(void **state) {
    (void)state;
    struct listener witness, back;
    arrive(&witness);
    room_join(HERE, &witness.channel, -1);
    forget(&witness);
    static const char *const deltas[] = {"Once", " upon", " a", " \\\"time\\\"",
                                         "\\n",  "",      "é",  ","};
    for (int i = 0; i < 400; i++) {
        if (i % 50 == 7)
            publish_number(HERE, i);
        else
            publish_chunk(HERE, i < 200 ? "0000000000AAA" : "0000000000BBB",
                          deltas[i % (int)COUNT_OF(deltas)]);
    }
    assert_false(witness.has_gap);
    assert_int_equal(witness.last_seq - witness.first_seq, 399);
    for (int64_t after = witness.first_seq - 1; after <= witness.last_seq; after++) {
        arrive(&back);
        room_join(HERE, &back.channel, after);
        assert_true(heard(&back, "\"resumed\":true,\"streaming\":[]"));
        assert_int_equal(back.frames, 1 + witness.last_seq - after);
        assert_false(back.has_gap);
        if (back.frames > 1) {
            assert_int_equal(back.first_seq, after + 1);
            assert_int_equal(back.last_seq, witness.last_seq);
        }
        struct str all = buf_str(&witness.heard), mine = buf_str(&back.heard);
        ptrdiff_t joined_end = str_find_char(mine, '\n', 0);
        assert_true(str_ends(all, str_slice(mine, (size_t)joined_end + 1, mine.len)));
        vanish(&back);
    }
    vanish(&witness);
}

static void what_cannot_be_resumed(void **state) {
    (void)state;
    struct listener a, back;
    arrive(&a);
    room_join(HERE, &a.channel, -1);
    publish_number(HERE, 0);
    int64_t seq = a.last_seq;
    const struct {
        int64_t after;
        const char *why;
    } rows[] = {
        {-1, "from now on"},
        {0, "no seq at all"},
        {seq - 1000000, "from before the room"},
        {seq + 1, "from a future that never was"},
        {INT64_MAX, "nonsense"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        arrive(&back);
        room_join(HERE, &back.channel, rows[i].after);
        if (!heard(&back, "\"resumed\":false") || back.frames != 1)
            fail_msg("%s", rows[i].why);
        vanish(&back);
    }
    vanish(&a);
}

/* Past the count, and past the bytes: the oldest go, what is left resumes exactly. */
static void ring_is_bounded(void **state) {
    (void)state;
    static char big[40001];
    struct listener a, back;
    memset(big, 'x', sizeof(big) - 1);
    for (int round = 0; round < 2; round++) {
        arrive(&a);
        room_join(HERE + round, &a.channel, -1);
        for (int i = 0; i < 2000; i++) {
            if (round == 0) {
                publish_number(HERE, i);
                continue;
            }
            char *data = NULL;
            assert_true(asprintf(&data, "{\"n\":%d,\"x\":\"%s\"}", i, big) > 0);
            a.is_recording_off = true;
            room_publish(HERE + 1, "message:updated", str_from(data));
            free(data);
            i += 99;
        }
        int64_t held = 0;
        for (int64_t after = a.last_seq; after > a.last_seq - 2000; after--, held++) {
            arrive(&back);
            back.is_recording_off = true;
            room_join(HERE + round, &back.channel, after);
            bool is_resumed = back.frames == 1 + a.last_seq - after;
            assert_false(back.has_gap);
            vanish(&back);
            if (!is_resumed)
                break;
        }
        if (round == 0)
            assert_int_equal(held, PAST_EVENTS_MAX + 1);
        else
            assert_in_range(held, 2, PAST_BYTES_MAX / 40000 + 1);
        vanish(&a);
    }
    assert_true(past_total_bytes() < 2 * PAST_BYTES_MAX + 100000);
}

/* A run of chunks leaves as a whole; the count that is kept stays near the limit. */
static void runs_are_dropped_whole(void **state) {
    (void)state;
    struct listener a, back;
    arrive(&a);
    room_join(HERE + 5, &a.channel, -1);
    for (int i = 0; i < 5000; i++)
        publish_chunk(HERE + 5, "0000000000AAA", "word ");
    arrive(&back);
    room_join(HERE + 5, &back.channel, a.last_seq - 380);
    assert_int_equal(back.frames, 381);
    assert_false(back.has_gap);
    vanish(&back);
    arrive(&back);
    room_join(HERE + 5, &back.channel, a.last_seq - PAST_EVENTS_MAX - 1);
    assert_true(heard(&back, "\"resumed\":false"));
    vanish(&back);
    vanish(&a);
}

static void late_listener_sees_the_speech(void **state) {
    (void)state;
    struct listener early, late, back;
    struct room_speech speech = {.turn_id = 1, .message_id = 2, .swipe = 3};
    room_speech_begin(HERE, &speech);
    publish_chunk(HERE, "0000000000002", "Hel"); /* nobody has joined: only the snapshot knows it */
    speech.text = STR("Hel");
    arrive(&early);
    room_join(HERE, &early.channel, -1);
    assert_true(heard(&early, "\"streaming\":[{\"turn_id\":\"0000000000001\",\"message_id\":"
                              "\"0000000000002\",\"swipe\":3,\"content\":\"Hel\"}]"));
    publish_chunk(HERE, "0000000000002", "lo");
    speech.text = STR("Hello");
    speech.reasoning = STR("hm");
    arrive(&late);
    room_join(HERE, &late.channel, 5);
    assert_true(heard(&late, "\"content\":\"Hello\",\"reasoning\":\"hm\"}]"));
    assert_int_equal(late.frames, 1); /* the snapshot covers the chunks: they do not come again */
    int64_t seen = early.last_seq;
    arrive(&back);
    room_join(HERE, &back.channel, seen - 1);
    assert_true(heard(&back, "\"resumed\":true,\"streaming\":[]"));
    assert_true(heard(&back, "\"delta\":\"lo\""));
    room_speech_end(&speech);
    room_speech_end(&speech); /* twice does no harm */
    forget(&late);
    room_join(HERE, &late.channel, -1);
    assert_true(heard(&late, "\"streaming\":[]"));
    vanish(&early);
    vanish(&late);
    vanish(&back);
}

static void typing_is_for_the_others_and_has_no_seq(void **state) {
    (void)state;
    struct listener a, b;
    arrive(&a);
    arrive(&b);
    room_join(HERE, &a.channel, -1);
    room_join(HERE, &b.channel, -1);
    forget(&a);
    forget(&b);
    room_broadcast(HERE, "typing:start", STR("{\"user_id\":\"x\"}"), &a.channel);
    assert_int_equal(a.frames, 0);
    assert_true(heard(&b, "{\"type\":\"typing:start\",\"conversation_id\":"));
    assert_int_equal(b.last_seq, 0);
    vanish(&a);
    vanish(&b);
}

static void slow_reader_is_dropped_and_comes_back(void **state) {
    (void)state;
    struct listener slow, quick, back;
    arrive(&slow);
    arrive(&quick);
    room_join(HERE, &slow.channel, -1);
    room_join(HERE, &quick.channel, -1);
    publish_number(HERE, 1);
    int64_t seen = slow.last_seq;
    slow.unsent_bytes = 1 << 20;
    publish_number(HERE, 2); /* exactly the limit is not past it */
    assert_int_equal(slow.closed_code, 0);
    slow.unsent_bytes++;
    publish_number(HERE, 3);
    assert_int_equal(slow.closed_code, 1013);
    assert_true(slow.was_stuck);
    publish_number(HERE, 4);
    assert_int_equal(slow.last_seq, seen + 1); /* nothing after the close */
    assert_int_equal(quick.last_seq, seen + 3);
    vanish(&slow);
    arrive(&back);
    room_join(HERE, &back.channel, seen);
    assert_int_equal(back.frames, 4);
    assert_false(back.has_gap);
    vanish(&back);
    vanish(&quick);
}

static void a_channel_is_in_few_rooms(void **state) {
    (void)state;
    struct listener a;
    arrive(&a);
    for (int i = 0; i < ROOMS_PER_CHANNEL; i++)
        assert_true(room_join(1000 + i, &a.channel, -1));
    assert_false(room_join(2000, &a.channel, -1));
    assert_int_equal(room_listeners(2000), 0);
    assert_true(room_join(1000, &a.channel, -1)); /* again is not one more */
    assert_int_equal(room_listeners(1000), 1);
    room_leave(1001, &a.channel);
    assert_true(room_join(2000, &a.channel, -1));
    vanish(&a); /* leaves all of them */
    assert_int_equal(room_listeners(1000), 0);
    assert_int_equal(room_listeners(2000), 0);
}

static void closing_shows_everybody_out(void **state) {
    (void)state;
    struct listener socket, stream;
    struct room_speech speech = {.turn_id = 1, .message_id = 2};
    arrive(&socket);
    arrive_by(&stream, &single_carrier);
    room_join(HERE, &socket.channel, -1);
    room_join(HERE, &stream.channel, -1);
    room_speech_begin(HERE, &speech);
    room_close(HERE);
    assert_true(heard(&socket, "\"code\":\"not_found\""));
    assert_true(heard(&socket, "\"conversation_id\":\"0000000000035\""));
    assert_int_equal(socket.closed_code, 0); /* it may be in other rooms */
    assert_int_equal(stream.closed_code, 1000);
    assert_int_equal(room_listeners(HERE), 0);
    forget(&socket);
    publish_number(HERE, 1);
    assert_int_equal(socket.frames, 0);
    room_speech_end(&speech);
    room_close(HERE); /* there is none: nothing happens */
    vanish(&socket);
    vanish(&stream);
}

/* The sequence grows through the death of a room, also when the clock stands still or goes back. */
static void seq_grows_across_lives(void **state) {
    (void)state;
    struct listener a;
    int64_t last = 0;
    static const int64_t moves[] = {0, 0, 5000, -3600000, 0, 10};
    for (size_t i = 0; i < COUNT_OF(moves); i++) {
        move_clock(moves[i]);
        arrive(&a);
        room_join(HERE, &a.channel, last ? last : -1);
        assert_true(heard(&a, "\"resumed\":false"));
        for (int n = 0; n < 500; n++)
            publish_number(HERE, n);
        assert_true(a.first_seq > last);
        assert_true(a.last_seq < (INT64_C(1) << 53));
        last = a.last_seq;
        room_close(HERE);
        vanish(&a);
    }
    move_clock(0);
}

/* 2 minutes after the last listener a room is gone; a quiet one with listeners keeps no events. */
static void quiet_rooms_go(void **state) {
    (void)state;
    struct listener stays, leaves, back;
    arrive(&stays);
    arrive(&leaves);
    room_join(HERE, &stays.channel, -1);
    room_join(THERE, &leaves.channel, -1);
    publish_number(HERE, 1);
    publish_number(THERE, 1);
    int64_t seen_here = stays.last_seq, seen_there = leaves.last_seq;
    vanish(&leaves);
    struct timer end = {0};
    move_clock(119000);
    timer_start(&end, 300, stop_loop, NULL);
    arrive(&back); /* within the time: nothing is lost */
    room_join(THERE, &back.channel, seen_there);
    assert_true(heard(&back, "\"resumed\":true"));
    vanish(&back);
    move_clock(119000 + 121000 + 31000);
    loop_run();
    assert_int_equal(room_listeners(HERE), 1);
    arrive(&back);
    room_join(THERE, &back.channel, seen_there);
    assert_true(heard(&back, "\"resumed\":false"));
    vanish(&back);
    arrive(&back);
    room_join(HERE, &back.channel, seen_here); /* still here: 4.5 minutes, the ring is kept for 5 */
    assert_true(heard(&back, "\"resumed\":true"));
    vanish(&back);
    vanish(&stays);
}

/* The promise of the essay, as a number. */
static void idle_room_is_small(void **state) {
    (void)state;
    enum { COUNT = 5000 };
    static struct listener many[COUNT];
    for (int i = 0; i < COUNT; i++) {
        arrive(&many[i]);
        many[i].is_recording_off = true;
    }
    struct mallinfo2 before = mallinfo2();
    for (int i = 0; i < COUNT; i++)
        room_join(10000 + i, &many[i].channel, -1);
    struct mallinfo2 after = mallinfo2();
    size_t each = (after.uordblks - before.uordblks) / COUNT;
    print_message("a room with one listener: %zu bytes\n", each);
#ifndef __SANITIZE_ADDRESS__ /* its allocator answers mallinfo with nothing */
    assert_in_range(each, 1, 400);
#endif
    for (int i = 0; i < COUNT; i++)
        vanish(&many[i]);
}

int main(void) {
#define ROOM_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ROOM_TEST(no_room_without_listeners),
        ROOM_TEST(joined_tells_where_one_stands),
        ROOM_TEST(everybody_hears_everything_in_order),
        ROOM_TEST(comings_and_goings),
        ROOM_TEST(resume_is_exact),
        ROOM_TEST(what_cannot_be_resumed),
        ROOM_TEST(ring_is_bounded),
        ROOM_TEST(runs_are_dropped_whole),
        ROOM_TEST(late_listener_sees_the_speech),
        ROOM_TEST(typing_is_for_the_others_and_has_no_seq),
        ROOM_TEST(slow_reader_is_dropped_and_comes_back),
        ROOM_TEST(a_channel_is_in_few_rooms),
        ROOM_TEST(closing_shows_everybody_out),
        ROOM_TEST(seq_grows_across_lives),
        ROOM_TEST(quiet_rooms_go),
        ROOM_TEST(idle_room_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
