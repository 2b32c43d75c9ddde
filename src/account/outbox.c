/*
 * The outbox: writing a mail, carrying it to the port, what an admin may read of it.
 *
 * Two kinds of job. `mail.write` makes a mail that a stranger asked for: the request itself leaves
 * the same one row behind for known and unknown addresses, and what differs happens later, where
 * nobody waits. `mail.send` is one attempt. When it fails, the row says why and the next attempt is
 * a job of its own, in one transaction, so that the waits are those of mail (minutes, then hours)
 * and not those of jobs: a relay that greylists wants to be left alone for a while.
 *
 * A crash between the relay's 250 and our commit sends a mail twice, with the same Message-ID. The
 * other order would lose it.
 */
#include "account/outbox.h"

#include "account/mail_store.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/id.h"
#include "base/keyfile.h"
#include "base/log.h"
#include "fetch/mail.h"
#include "net/listener.h"

#include "base/banned.h"

#define MINUTE_MS      ((int64_t)60 * 1000)
#define HOUR_MS        (60 * MINUTE_MS)
#define GIVE_UP_MS     (24 * HOUR_MS)
#define TOKEN_BYTES    32
#define PAYLOAD_BYTES  256
#define SENDS_AT_ONCE  1 /* one connection to the relay */
#define WRITES_AT_ONCE 4

/* What each kind of letter is: the token in its link, where the link leads, how long it is good. */
static const struct {
    const char *purpose; /* NULL: none */
    const char *page;    /* NULL: no link */
    int64_t life_ms;
} kinds[LETTER_KINDS] = {
    [LETTER_RESET] = {"reset", "/reset", HOUR_MS},
    [LETTER_VERIFY] = {"verify", "/verify", 48 * HOUR_MS},
    [LETTER_EXISTS] = {"reset", "/reset", HOUR_MS},
    [LETTER_CHANGED] = {NULL, "/forgotten", GIVE_UP_MS},
    [LETTER_TEST] = {NULL, NULL, HOUR_MS},
};

bool outbox_has_relay(void) {
    return mail_settings.smtp_url.len > 0;
}

/* --- writing ---------------------------------------------------------------------------------- */

static struct str origin_now(struct arena *arena) {
    struct str origin = net_settings.public_url;
    if (origin.len == 0)
        return str_printf(arena, "http://" STR_FMT, STR_ARG(listener_address()));
    while (str_ends(origin, STR("/")))
        origin.len--;
    return str_dup(arena, origin);
}

void mailing_prepare(struct mailing *mailing, struct arena *arena, enum letter_kind kind,
                     struct str language) {
    struct str name = mail_settings.from_name;
    *mailing = (struct mailing){
        .arena = arena,
        .kind = kind,
        .language = letter_language(language),
        .origin = origin_now(arena),
        .house = name.len > 0 ? str_dup(arena, name) : STR("Troupe"),
        .per_hour = mail_settings.per_hour,
    };
}

static struct str language_of(struct arena *arena, const struct correspondent *person,
                              struct str fallback) {
    const struct json_value *preferences;
    if (json_parse(arena, person->preferences, &preferences, NULL) != E_OK)
        return fallback;
    struct str chosen = json_string(json_member(preferences, "language"), STR(""));
    return chosen.len > 0 ? letter_language(chosen) : fallback;
}

/* The token is behind '#': browsers keep that to themselves, so it is in no log of a proxy and in
 * no Referer. */
static enum err make_link(struct tx *tx, const struct mailing *mailing,
                          const struct correspondent *person, int64_t now, struct str *link) {
    const char *page = kinds[mailing->kind].page, *purpose = kinds[mailing->kind].purpose;
    uint8_t random[TOKEN_BYTES];
    struct email_token token = {.user_id = person->id,
                                .purpose = str_from(purpose),
                                .email_folded = person->email_folded,
                                .created_at = now,
                                .expires_at = now + kinds[mailing->kind].life_ms};
    *link = page == NULL ? STR_NONE
                         : str_printf(mailing->arena, STR_FMT "%s", STR_ARG(mailing->origin), page);
    if (purpose == NULL)
        return E_OK;
    crypto_random(random, sizeof random);
    struct str text = base64url_encode(mailing->arena, str_of((const char *)random, sizeof random));
    crypto_sha256(text, token.hash);
    *link = str_printf(mailing->arena, STR_FMT "#" STR_FMT, STR_ARG(*link), STR_ARG(text));
    return email_token_put(tx, &token);
}

/* What was written before with a link of that purpose: the new token has ended it. */
static enum err end_older(struct tx *tx, const struct mailing *mailing, int64_t user_id,
                          int64_t now) {
    struct str kind = letter_word(mailing->kind), other = kind;
    if (mailing->kind == LETTER_RESET)
        other = letter_word(LETTER_EXISTS);
    if (mailing->kind == LETTER_EXISTS)
        other = letter_word(LETTER_RESET);
    return mail_void(tx, user_id, kind, other, now);
}

static struct str seal_context(struct arena *arena, int64_t id) {
    return str_printf(arena, "mail:%s", id_text(id).at);
}

static enum err add_send_job(struct tx *tx, int64_t mail_id, int64_t at_ms) {
    struct buf buf;
    int64_t job_id;
    buf_init(&buf, PAYLOAD_BYTES);
    buf_printf(&buf, "{\"mail\":\"%s\"}", id_text(mail_id).at);
    enum err err = job_add(tx, "mail.send", 0, buf_str(&buf), at_ms, &job_id);
    buf_release(&buf);
    return err;
}

static enum err add_row(struct tx *tx, struct mailing *mailing, const struct correspondent *person,
                        const struct letter *letter, int64_t now) {
    struct arena *arena = mailing->arena;
    int64_t id = id_new();
    struct outbox_mail row = {
        .id = id,
        .user_id = person->id,
        .kind = letter_word(mailing->kind),
        .recipient = person->email,
        .subject = letter->subject,
        .text_sealed = crypto_seal(arena, keyfile_key(), seal_context(arena, id), letter->text),
        .expires_at = now + kinds[mailing->kind].life_ms,
        .created_at = now,
    };
    enum err err = mail_insert(tx, &row);
    mailing->mail_id = err == E_OK ? id : 0;
    return err != E_OK ? err : add_send_job(tx, id, 0);
}

enum err mailing_write(struct tx *tx, struct mailing *mailing, int64_t user_id) {
    struct correspondent person;
    struct letter letter;
    struct str link;
    int64_t now = clock_now_ms(), wait_ms;
    mailing->mail_id = 0;
    enum err err = correspondent_load(tx_db(tx), mailing->arena, user_id, &person);
    if (err != E_OK || (mailing->kind == LETTER_VERIFY && person.is_verified))
        return err;
    err = quota_take(tx, STR("house"), mailing->per_hour, HOUR_MS, now, &wait_ms);
    if (err != E_OK)
        return err == E_LIMIT ? E_BUSY : err;
    if ((err = end_older(tx, mailing, user_id, now)) != E_OK)
        return err;
    if ((err = make_link(tx, mailing, &person, now, &link)) != E_OK)
        return err;
    letter_write(mailing->arena, mailing->kind,
                 language_of(mailing->arena, &person, mailing->language), mailing->house, link,
                 &letter);
    return add_row(tx, mailing, &person, &letter, now);
}

/* --- the job that writes ---------------------------------------------------------------------- */

enum err mailing_ask(struct tx *tx, enum letter_kind kind, int64_t user_id, struct str language) {
    struct buf buf;
    struct json json;
    int64_t job_id;
    buf_init(&buf, PAYLOAD_BYTES);
    json_init(&json, &buf);
    json_object_begin(&json);
    JSON_ID(&json, "user", user_id);
    JSON_STR(&json, "kind", letter_word(kind));
    JSON_STR(&json, "language", letter_language(language));
    json_object_end(&json);
    enum err err = job_add(tx, "mail.write", 0, buf_str(&buf), 0, &job_id);
    buf_release(&buf);
    return err;
}

struct writing {
    struct mailing mailing;
    struct job *job;
    int64_t user_id;
};

static enum err writer_write(struct tx *tx, void *ctx) {
    struct writing *writing = ctx;
    enum err err = mailing_write(tx, &writing->mailing, writing->user_id);
    return err == E_ABSENT ? E_OK : err; /* gone or disabled since */
}

static void on_written(enum err err, void *ctx) {
    struct writing *writing = ctx;
    job_finish(writing->job, err, "the mail could not be written");
}

static void run_write(struct job *job) {
    const struct json_value *payload;
    struct writing *writing = ARENA_NEW(&job->arena, struct writing);
    enum letter_kind kind;
    if (json_parse(&job->arena, job->payload, &payload, NULL) != E_OK ||
        !letter_of_word(json_string(json_member(payload, "kind"), STR("")), &kind))
        return job_finish(job, E_INPUT, "there is no such letter");
    writing->job = job;
    if (id_parse(json_string(json_member(payload, "user"), STR("")), &writing->user_id) != E_OK)
        return job_finish(job, E_OK, NULL); /* somebody asked for an address that nobody has */
    mailing_prepare(&writing->mailing, &job->arena, kind,
                    json_string(json_member(payload, "language"), STR("")));
    store_write(writer_write, on_written, writing);
}

/* --- the job that sends ----------------------------------------------------------------------- */

struct attempt {
    struct job *job;
    struct outbox_mail mail;
    enum letter_kind kind;
    enum mail_fate fate;
    struct str reason; /* the job's arena */
    bool is_over;      /* its link has ended: there was no attempt */
};

static int64_t wait_after(int64_t attempts) {
    static const int64_t minutes[] = {1, 5, 15, 60};
    size_t at = attempts < 1 ? 0 : (size_t)attempts - 1;
    return minutes[at < COUNT_OF(minutes) ? at : COUNT_OF(minutes) - 1] * MINUTE_MS;
}

/* Once more when it may still be of use then; whoever tries a relay wants to know now. */
static enum err comes_again(struct tx *tx, const struct attempt *attempt, int64_t now) {
    const struct outbox_mail *mail = &attempt->mail;
    int64_t next = now + wait_after(mail->attempts + 1);
    bool is_last = attempt->kind == LETTER_TEST || next >= mail->expires_at ||
                   next >= mail->created_at + GIVE_UP_MS;
    enum err err = mail_move(tx, mail->id, is_last ? STR("failed") : STR("queued"), attempt->reason,
                             true, true, now);
    return err != E_OK || is_last ? err : add_send_job(tx, mail->id, next);
}

static enum err writer_attempt(struct tx *tx, void *ctx) {
    const struct attempt *attempt = ctx;
    int64_t id = attempt->mail.id, now = clock_now_ms();
    if (attempt->is_over)
        return mail_move(tx, id, STR("expired"), attempt->mail.reason, false, false, now);
    switch (attempt->fate) {
    case MAIL_SENT:
        return mail_move(tx, id, STR("sent"), STR_NONE, true, false, now);
    case MAIL_RESTS:
        return mail_move(tx, id, STR("resting"), STR_NONE, false, true, now);
    case MAIL_REFUSED:
        return mail_move(tx, id, STR("failed"), attempt->reason, true, true, now);
    case MAIL_LATER:
        return comes_again(tx, attempt, now);
    case MAIL_CANCELLED:
        break;
    }
    return E_CANCELLED;
}

static void on_attempted(enum err err, void *ctx) {
    struct attempt *attempt = ctx;
    job_finish(attempt->job, err, "what became of the mail could not be stored");
}

/* The relay's words may name the recipient: they are for the outbox, not for the log. */
static void on_fate(void *ctx, const struct mail_result *result) {
    struct attempt *attempt = ctx;
    attempt->fate = result->fate;
    attempt->reason =
        result->reason.len > 0 ? str_dup(&attempt->job->arena, result->reason) : STR_NONE;
    if (attempt->fate == MAIL_CANCELLED)
        return job_finish(attempt->job, E_CANCELLED, NULL);
    if (attempt->fate == MAIL_SENT)
        log_info("mail", "mail was sent", LF_ID("mail", attempt->mail.id));
    else if (attempt->fate != MAIL_RESTS)
        log_warn("mail", "mail was not sent", LF_ID("mail", attempt->mail.id),
                 LF_Z("fate", attempt->fate == MAIL_LATER ? "later" : "refused"));
    store_write(writer_attempt, on_attempted, attempt);
}

enum err outbox_open_text(struct arena *arena, const struct outbox_mail *mail, struct str *text) {
    if (mail->text_sealed.len == 0)
        return E_ABSENT;
    return keyfile_unseal(arena, seal_context(arena, mail->id), mail->text_sealed, text);
}

static void hand_over(struct attempt *attempt) {
    struct mail_message message = {.id = attempt->mail.id,
                                   .at_ms = attempt->mail.created_at,
                                   .to = attempt->mail.recipient,
                                   .subject = attempt->mail.subject};
    if (outbox_open_text(&attempt->job->arena, &attempt->mail, &message.text) != E_OK) {
        struct mail_result result = {
            MAIL_REFUSED,
            STR("its text does not open: is this the key file that belongs to this data folder?")};
        return on_fate(attempt, &result);
    }
    mail_port()->send(&message, on_fate, attempt);
}

static void run_send(struct job *job) {
    const struct json_value *payload;
    struct attempt *attempt = ARENA_NEW(&job->arena, struct attempt);
    int64_t id;
    attempt->job = job;
    if (json_parse(&job->arena, job->payload, &payload, NULL) != E_OK ||
        id_parse(json_string(json_member(payload, "mail"), STR("")), &id) != E_OK)
        return job_finish(job, E_INPUT, "there is no mail in it");
    enum err err = outbox_load(store_reader(), &job->arena, id, &attempt->mail);
    if (err == E_ABSENT || (err == E_OK && !str_eq(attempt->mail.state, STR("queued"))))
        return job_finish(job, E_OK, NULL); /* removed, or of no use since */
    if (err != E_OK || !letter_of_word(attempt->mail.kind, &attempt->kind))
        return job_finish(job, err, "the mail could not be read");
    attempt->is_over = attempt->mail.expires_at <= clock_now_ms();
    if (attempt->is_over)
        store_write(writer_attempt, on_attempted, attempt);
    else
        hand_over(attempt);
}

const struct job_kind outbox_jobs[] = {
    {.name = "mail.write",
     .run = run_write,
     .attempts_limit = 12,
     .lease_ms = 60000,
     .running_limit = WRITES_AT_ONCE},
    {.name = "mail.send",
     .run = run_send,
     .attempts_limit = 12,
     .lease_ms = 180000,
     .running_limit = SENDS_AT_ONCE},
    {0},
};

/* --- what admins do --------------------------------------------------------------------------- */

bool outbox_may_read(const struct outbox_mail *mail, const struct caller *caller) {
    return mail->user_id == caller->user_id || account_role(mail->role) < caller->role;
}

enum err outbox_send_again(struct tx *tx, int64_t id, int64_t now) {
    struct arena arena;
    struct outbox_mail mail;
    arena_init(&arena);
    enum err err = outbox_load(tx_db(tx), &arena, id, &mail);
    bool may = err == E_OK && mail.has_text && mail.expires_at > now &&
               (str_eq(mail.state, STR("resting")) || str_eq(mail.state, STR("failed")));
    arena_release(&arena);
    if (err != E_OK || !may)
        return err != E_OK ? err : E_CONFLICT;
    err = mail_move(tx, id, STR("queued"), STR_NONE, false, true, now);
    return err != E_OK ? err : add_send_job(tx, id, 0);
}
