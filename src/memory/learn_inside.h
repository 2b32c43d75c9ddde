/*
 * What the files of learning know of each other: the state of one job.
 *
 *   learn.c         the job: queueing, asking a model, reading its answer, merging, the end
 *   learn_window.c  what is next: the window of the talk, or the stretch, that comes now
 *
 * A job is in one place at a time, the loop, the pool or the writer, and whoever has it may change
 * it; so nothing here needs a lock.
 */
#pragma once

#include "loop/loop.h"
#include "memory/extract.h"
#include "memory/memory_store.h"
#include "memory/merge.h"
#include "memory/summary.h"
#include "model/background.h"
#include "model/model.h"
#include "store/job.h"

#define LEARN_WINDOW_LINES 24   /* new lines that a model is asked about at once */
#define LEARN_QUIET_MS     1000 /* of a conversation, before it is learnt from */

enum learn_work { LEARN_EXTRACT, LEARN_SUM };

/* What a look at the conversation has found that comes next. */
enum learn_step {
    LEARN_END,        /* nothing is left */
    LEARN_GONE,       /* there is no such conversation any more */
    LEARN_EARLY,      /* people are talking right now, and have not said much yet */
    LEARN_FROM_START, /* all was asked for: the marks go back first */
    LEARN_AGAIN,  /* messages changed: what only they spoke for goes, then they are read again */
    LEARN_READ,   /* a window or a stretch is ready to be read */
    LEARN_REWIND, /* summaries are stale */
};

struct learn {
    struct job *job;
    struct arena arena; /* of this window */
    int64_t conversation_id;
    bool is_all; /* the whole talk was asked for */
    struct memory_scope scope;
    struct memory_cast cast;
    struct memory_progress progress;
    enum learn_work work;
    enum learn_step step;
    bool has_begun;  /* the first look is over */
    enum err err;    /* of the look */
    bool is_rewound; /* summaries are made anew */
    bool is_again;   /* the window is of messages that changed */
    struct str route;

    struct memory_line *lines;
    size_t count, fresh;
    struct memory_fact *known;
    size_t known_count;
    struct summary_work summary;

    struct chat_request request;
    struct background_call *call;
    struct timer watch; /* whether the job was cancelled */
    int tries;
    struct str answer;
    struct usage_record usage;
    bool was_asked, is_read;
    bool is_overtaken; /* what was read changed meanwhile: nothing of it was written */

    struct memory_items items;
    size_t refused;
    struct summary_result result;
    struct merge merge;
    int64_t since_ms;  /* it has waited for a quiet moment; 0: does not wait */
    int64_t said_seen; /* progress.queued when the job began */
    size_t added, repeated, closed;
    int64_t done, total; /* messages, for the progress of an extraction that was asked for */
};

/* Reads the conversation and says what is next: fills scope, cast, progress, known, and for what is
 * to be read lines, count, fresh, work. Pool. */
MUST_USE enum err pool_look(struct learn *learn, struct db *db);
/* Whether what the window or stretch was made of still stands there: between the look and the write a
 * model may think for a minute, and meanwhile somebody edits a message, rewrites a summary or has
 * something forgotten. Inside a write. */
bool writer_is_as_read(struct tx *tx, struct learn *learn);
/* Writes of LEARN_FROM_START, LEARN_AGAIN and LEARN_REWIND; ctx is the struct learn. */
MUST_USE enum err writer_from_start(struct tx *tx, void *ctx);
MUST_USE enum err writer_drop(struct tx *tx, void *ctx);
MUST_USE enum err writer_rewind(struct tx *tx, void *ctx);
