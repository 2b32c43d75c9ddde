/*
 * Most events of a reply are chunks: a few letters of text in a hundred bytes of JSON that is the
 * same each time. A thousand replies that stream at once would keep a thousand rings of full frames
 * (100 KB each). So an event whose data ends in a member "delta" with a text is a piece: the bytes
 * before the text (the head) are kept once for a run of pieces, then only the texts, end to end. A
 * piece is put together again when somebody resumes, which is rare, byte for byte as it was.
 *
 * Entries form a list: each is a frame, or a run of up to RUN_PIECES pieces with consecutive seqs.
 * What is too old leaves by whole entries.
 */
#include "conversation/past.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define RUN_PIECES    128
#define RUN_BYTES_MAX (16 << 10) /* fits the 16 bits of an end */
#define DELTA_MEMBER  "\"delta\":\""
#define DATA_END      "\"}"

struct run {
    const char *type;
    size_t head_len;
    struct buf bytes;          /* the head, then the texts */
    uint16_t ends[RUN_PIECES]; /* where each text ends in bytes */
};

struct past_entry {
    struct past_entry *next;
    int64_t first_seq;
    uint32_t count;
    uint32_t bytes;      /* its share of past->bytes */
    struct frame *frame; /* or a run */
    struct run *run;
};

static size_t total_bytes; /* of all rooms */

size_t past_total_bytes(void) {
    return total_bytes;
}

/* --- entries ---------------------------------------------------------------------------------- */

static void grow_share(struct past *past, struct past_entry *entry, size_t bytes) {
    entry->bytes += (uint32_t)bytes;
    past->bytes += (uint32_t)bytes;
    total_bytes += bytes;
}

static struct past_entry *add_entry(struct past *past, int64_t seq) {
    struct past_entry *entry = calloc(1, sizeof(*entry));
    if (entry == NULL)
        BUG("out of memory: an event");
    BUG_IF(seq != past->lost_seq + past->events + 1);
    entry->first_seq = seq;
    if (past->newest != NULL)
        past->newest->next = entry;
    else
        past->oldest = entry;
    past->newest = entry;
    grow_share(past, entry, sizeof(*entry));
    return entry;
}

static void drop_oldest(struct past *past) {
    struct past_entry *entry = past->oldest;
    past->oldest = entry->next;
    if (past->oldest == NULL)
        past->newest = NULL;
    past->events -= entry->count;
    past->lost_seq += entry->count;
    past->bytes -= entry->bytes;
    total_bytes -= entry->bytes;
    frame_let_go(entry->frame);
    if (entry->run != NULL)
        buf_release(&entry->run->bytes);
    free(entry->run);
    free(entry);
}

static void trim(struct past *past) {
    size_t limit = total_bytes > PAST_TOTAL_MAX ? PAST_BYTES_LEAN : PAST_BYTES_MAX;
    while (past->events > PAST_EVENTS_MAX || past->bytes > limit)
        drop_oldest(past);
}

void past_clear(struct past *past, int64_t seq) {
    while (past->oldest != NULL)
        drop_oldest(past);
    past->lost_seq = seq;
}

void past_add_frame(struct past *past, struct frame *frame) {
    struct past_entry *entry = add_entry(past, frame->seq);
    entry->frame = frame_hold(frame);
    entry->count = 1;
    past->events++;
    grow_share(past, entry, frame_bytes(frame));
    trim(past);
}

/* --- runs ------------------------------------------------------------------------------------- */

/* The bytes of data up to the text of its delta; 0 when data is not a piece. */
static size_t head_of(struct str data) {
    struct str member = STR(DELTA_MEMBER);
    if (!str_ends(data, STR(DATA_END)))
        return 0;
    ptrdiff_t at = str_find(data, member, 0);
    size_t head_len = at < 0 ? 0 : (size_t)at + member.len;
    return head_len + sizeof(DATA_END) - 1 <= data.len ? head_len : 0;
}

static bool continues(const struct run *run, uint32_t count, const char *type, struct str head,
                      size_t text_len) {
    return run != NULL && count < RUN_PIECES && run->head_len == head.len &&
           run->bytes.len + text_len <= RUN_BYTES_MAX &&
           memcmp(run->bytes.at, head.at, head.len) == 0 && strcmp(run->type, type) == 0;
}

static struct run *run_new(const char *type, struct str head) {
    struct run *run = calloc(1, sizeof(*run));
    if (run == NULL)
        BUG("out of memory: a run of events");
    run->type = type;
    run->head_len = head.len;
    buf_init(&run->bytes, RUN_BYTES_MAX);
    buf_add_str(&run->bytes, head);
    return run;
}

bool past_add_piece(struct past *past, int64_t seq, const char *type, struct str data) {
    struct str head = str_slice(data, 0, head_of(data));
    struct str text = str_slice(data, head.len, data.len - (sizeof(DATA_END) - 1));
    struct past_entry *entry = past->newest;
    if (head.len == 0 || head.len + text.len > RUN_BYTES_MAX)
        return false;
    if (entry == NULL || !continues(entry->run, entry->count, type, head, text.len)) {
        entry = add_entry(past, seq);
        entry->run = run_new(type, head);
        grow_share(past, entry, sizeof(*entry->run) + head.len);
    }
    buf_add_str(&entry->run->bytes, text);
    entry->run->ends[entry->count++] = (uint16_t)entry->run->bytes.len;
    past->events++;
    grow_share(past, entry, text.len);
    trim(past);
    return true;
}

/* --- replay ----------------------------------------------------------------------------------- */

static struct frame *piece_frame(const struct past_entry *entry, uint32_t index,
                                 int64_t conversation_id) {
    const struct run *run = entry->run;
    struct str bytes = buf_str(&run->bytes);
    size_t from = index == 0 ? run->head_len : run->ends[index - 1];
    struct buf data;
    buf_init(&data, RUN_BYTES_MAX + sizeof(DATA_END));
    buf_add_str(&data, str_slice(bytes, 0, run->head_len));
    buf_add_str(&data, str_slice(bytes, from, run->ends[index]));
    buf_add_str(&data, STR(DATA_END));
    struct frame *frame =
        frame_new(run->type, entry->first_seq + index, conversation_id, buf_str(&data));
    buf_release(&data);
    return frame;
}

static void replay_entry(const struct past_entry *entry, int64_t conversation_id, int64_t after_seq,
                         void (*fn)(void *ctx, struct frame *frame), void *ctx) {
    int64_t skip = after_seq >= entry->first_seq ? after_seq - entry->first_seq + 1 : 0;
    for (uint32_t i = (uint32_t)skip; i < entry->count; i++) {
        struct frame *frame =
            entry->run ? piece_frame(entry, i, conversation_id) : frame_hold(entry->frame);
        fn(ctx, frame);
        frame_let_go(frame);
    }
}

void past_replay(const struct past *past, int64_t conversation_id, int64_t after_seq,
                 void (*fn)(void *ctx, struct frame *frame), void *ctx) {
    for (const struct past_entry *entry = past->oldest; entry != NULL; entry = entry->next)
        if (entry->first_seq + entry->count - 1 > after_seq)
            replay_entry(entry, conversation_id, after_seq, fn, ctx);
}

bool past_reaches(const struct past *past, int64_t after_seq) {
    return after_seq >= past->lost_seq && after_seq <= past->lost_seq + past->events;
}
