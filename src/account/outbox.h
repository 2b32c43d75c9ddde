/*
 * The outbox: every mail that the house writes is a row first, in the transaction of its cause, and
 * a job carries it to the mail port (fetch/mail.h) until it is taken on, refused, or of no use.
 * Where there is no relay it stays, and an admin reads it.
 *
 * What a link in a mail opens, its text opens too. So texts are sealed at rest, are removed when
 * the mail has left or its link is over, and are shown only to somebody whose role is above the
 * recipient's, or who is the recipient.
 */
#pragma once

#include "account/letter.h"
#include "net/request.h"
#include "store/job.h"

/* Everything about a mail but for whom, prepared on the loop thread: settings are read there only. */
struct mailing {
    struct arena *arena;
    enum letter_kind kind;
    struct str language; /* where the recipient has not chosen one */
    struct str origin;   /* "https://troupe.example": before every link; never from a request */
    struct str house;    /* its name */
    int64_t per_hour;
    int64_t mail_id; /* out: the row; 0 when there was nothing to write */
};
void mailing_prepare(struct mailing *mailing, struct arena *arena, enum letter_kind kind,
                     struct str language);
/*
 * Inside a write: a mail to this person, with a new token where its kind has a link (tokens and
 * mails of that purpose before it end). E_BUSY when the house has written as many as it may in this
 * hour; E_ABSENT when the person is not there, or disabled. A verified address gets no LETTER_VERIFY:
 * E_OK, and mail_id is 0.
 */
MUST_USE enum err mailing_write(struct tx *tx, struct mailing *mailing, int64_t user_id);
/* Inside a write: the same, later, by a job; user_id 0 is a job that does nothing and takes as long. */
MUST_USE enum err mailing_ask(struct tx *tx, enum letter_kind kind, int64_t user_id,
                              struct str language);

/* True when mail leaves this house. */
bool outbox_has_relay(void);

/* A mail as admins see it. */
struct outbox_mail {
    int64_t id, user_id;
    struct str kind, recipient, subject, state, reason, role; /* role: the recipient's */
    struct str text_sealed;                                   /* of outbox_load alone */
    bool has_text;
    int64_t attempts, expires_at, created_at, updated_at;
};
/* Newest first, before `before_id` (0: from the end); state STR_NONE: all. */
MUST_USE enum err outbox_list(struct db *db, struct arena *arena, int64_t before_id,
                              struct str state, size_t limit, struct outbox_mail **items,
                              size_t *count);
MUST_USE enum err outbox_load(struct db *db, struct arena *arena, int64_t id,
                              struct outbox_mail *mail);
bool outbox_may_read(const struct outbox_mail *mail, const struct caller *caller);
/* Its text; E_ABSENT when it has none any more. */
MUST_USE enum err outbox_open_text(struct arena *arena, const struct outbox_mail *mail,
                                   struct str *text);
/* Inside a write: hands it to the port once more, now. E_CONFLICT when it was sent, is under way or
 * has no text any more; E_ABSENT. */
MUST_USE enum err outbox_send_again(struct tx *tx, int64_t id, int64_t now);
/* Removes what is over: tokens, texts whose link has ended, rows that are older than `keep_ms`. */
MUST_USE enum err outbox_sweep(struct tx *tx, int64_t keep_ms, int64_t now);

extern const struct job_kind outbox_jobs[];
