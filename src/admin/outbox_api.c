/*
 * The outbox, for admins: what mail the house has written, and what became of it.
 *
 * A text may hold a link that opens an account, so it is shown one at a time, only for people of a
 * role below the reader's (or the reader), and every reading is in the audit log. So no admin gets
 * at the owner's account by way of the mail; why none gets there by way of the relay stands in
 * settings_api.c (is_owners).
 */
#include "admin/outbox_api.h"

#include "account/account.h"
#include "account/outbox.h"
#include "base/clock.h"
#include "base/id.h"
#include "fetch/mail.h"
#include "store/audit.h"

#include "base/banned.h"

struct outbox_query {
    int64_t limit, cursor;
    struct str state;
};

/* clang-format off */
static const char *const states[] = {"queued", "resting", "sent", "failed", "expired", NULL};
static const char *const kinds[] = {"reset", "verify", "exists", "changed", "test", NULL};
static const struct field outbox_query[] = {
    {"limit", FIELD_INT, AT(struct outbox_query, limit), .min = 1, .max = 100, .fallback = "20", .help = "Items of a page."},
    {"cursor", FIELD_ID, AT(struct outbox_query, cursor), .help = "next_cursor of the page before."},
    {"state", FIELD_CHOICE, AT(struct outbox_query, state), .choices = states, .help = "Only those."},
    {0}};
static const struct field mail_rows[] = {
    {"id", FIELD_ID, .is_required = true, .help = "The mail."},
    {"user_id", FIELD_ID, .is_required = true, .help = "For whom."},
    {"kind", FIELD_CHOICE, .choices = kinds, .is_required = true, .help = "Why it was written."},
    {"recipient", FIELD_TEXT, .is_required = true, .help = "The address it goes to."},
    {"subject", FIELD_TEXT, .is_required = true, .help = "Its subject."},
    {"state", FIELD_CHOICE, .choices = states, .is_required = true, .help = "resting: there is no relay; expired: its link ended before it left."},
    {"attempts", FIELD_INT, .is_required = true, .help = "How often the relay was asked."},
    {"reason", FIELD_TEXT, .may_be_null = true, .is_required = true, .help = "Why the last attempt failed."},
    {"is_readable", FIELD_BOOL, .is_required = true, .help = "Its text is still there, and you may read it."},
    {"is_sealed", FIELD_BOOL, .is_required = true, .help = "Its text is still there, but its recipient's role is not below yours."},
    {"text", FIELD_TEXT, .may_be_null = true, .help = "What it says: only where one mail is asked for."},
    {"expires_at", FIELD_TIME, .is_required = true, .help = "What it says is over then."},
    {"created_at", FIELD_TIME, .is_required = true, .help = "When it was written."},
    {"updated_at", FIELD_TIME, .is_required = true, .help = "When it last moved."},
    {0}};
static const struct shape mail_shape = {"Mail", mail_rows, "A mail that the house wrote."};
/* clang-format on */

static void mail_write_json(struct request *request, const struct outbox_mail *mail,
                            const struct str *text) {
    struct json *json = reply_json(request);
    bool may_read = outbox_may_read(mail, &request->caller);
    json_object_begin(json);
    JSON_ID(json, "id", mail->id);
    JSON_ID(json, "user_id", mail->user_id);
    JSON_STR(json, "kind", mail->kind);
    JSON_STR(json, "recipient", mail->recipient);
    JSON_STR(json, "subject", mail->subject);
    JSON_STR(json, "state", mail->state);
    JSON_INT(json, "attempts", mail->attempts);
    JSON_STR(json, "reason", mail->reason);
    JSON_BOOL(json, "is_readable", mail->has_text && may_read);
    JSON_BOOL(json, "is_sealed", mail->has_text && !may_read);
    if (text != NULL)
        JSON_STR(json, "text", *text);
    JSON_TIME(json, "expires_at", mail->expires_at);
    JSON_TIME(json, "created_at", mail->created_at);
    JSON_TIME(json, "updated_at", mail->updated_at);
    json_object_end(json);
}

static void list_outbox(struct request *request) {
    const struct outbox_query *query = request->query_fields;
    struct outbox_mail *items;
    size_t count, limit = (size_t)query->limit;
    enum err err =
        outbox_list(store_reader(), request->arena, query->cursor,
                    query->state.len > 0 ? query->state : STR_NONE, limit + 1, &items, &count);
    if (err != E_OK)
        return reply_error(request, err);
    reply_list_begin(request);
    for (size_t i = 0; i < count && i < limit; i++)
        mail_write_json(request, &items[i], NULL);
    reply_list_end(request, count > limit
                                ? str_dup(request->arena, str_from(id_text(items[limit - 1].id).at))
                                : STR_NONE);
}

/* --- one of them ------------------------------------------------------------------------------ */

struct op {
    struct request *request;
    int64_t id;
    struct outbox_mail mail;
    struct mailing test;
};

static struct op *op_new(struct request *request) {
    struct op *op = ARENA_NEW(request->arena, struct op);
    op->request = request;
    op->id = request->ids[0];
    return op;
}

static enum err note(struct tx *tx, const struct op *op, struct str action) {
    return audit_add(tx, &(struct audit){.actor_id = op->request->caller.user_id,
                                         .action = action,
                                         .target_kind = STR("mail"),
                                         .target_id = op->id});
}

static void reply_mail(struct op *op, int status) {
    enum err err = outbox_load(store_reader(), op->request->arena, op->id, &op->mail);
    if (err != E_OK)
        return reply_error(op->request, err);
    mail_write_json(op->request, &op->mail, NULL);
    reply_send(op->request, status);
}

static enum err writer_note_reading(struct tx *tx, void *ctx) {
    const struct op *op = ctx;
    return op->mail.user_id == op->request->caller.user_id ? E_OK : note(tx, op, STR("mail.read"));
}

/* The line of the audit log is on disk before the text is shown. */
static void on_reading_noted(enum err err, void *ctx) {
    struct op *op = ctx;
    struct str text;
    if (err == E_OK)
        err = outbox_open_text(op->request->arena, &op->mail, &text);
    if (err != E_OK)
        return reply_error(op->request, err == E_DENIED ? E_STORAGE : err);
    mail_write_json(op->request, &op->mail, &text);
    reply_send(op->request, 200);
}

static void get_mail(struct request *request) {
    struct op *op = op_new(request);
    struct str nothing = STR_NONE;
    enum err err = outbox_load(store_reader(), request->arena, op->id, &op->mail);
    if (err != E_OK)
        return reply_error(request, err);
    if (op->mail.has_text && outbox_may_read(&op->mail, &request->caller))
        return store_write(writer_note_reading, on_reading_noted, op);
    mail_write_json(request, &op->mail, &nothing);
    reply_send(request, 200);
}

static enum err writer_send_again(struct tx *tx, void *ctx) {
    const struct op *op = ctx;
    enum err err = outbox_send_again(tx, op->id, clock_now_ms());
    return err != E_OK ? err : note(tx, op, STR("mail.send"));
}

static void on_sent_again(enum err err, void *ctx) {
    struct op *op = ctx;
    if (err == E_CONFLICT)
        return reply_problem(op->request, 409,
                             "This mail has left, is on its way, or is of no use any more.");
    if (err != E_OK)
        return reply_error(op->request, err);
    reply_mail(op, 202);
}

static bool refuse_without_relay(struct request *request) {
    const char *problem = mail_settings_problem();
    if (outbox_has_relay() && problem == NULL)
        return false;
    reply_problem(request, 409, "%s.",
                  problem != NULL
                      ? problem
                      : "There is no relay that mail could leave by: see the settings of mail");
    return true;
}

static void send_again(struct request *request) {
    if (!refuse_without_relay(request))
        store_write(writer_send_again, on_sent_again, op_new(request));
}

static enum err writer_test(struct tx *tx, void *ctx) {
    struct op *op = ctx;
    enum err err = mailing_write(tx, &op->test, op->request->caller.user_id);
    op->id = op->test.mail_id;
    return err != E_OK ? err : note(tx, op, STR("mail.test"));
}

static void on_test_written(enum err err, void *ctx) {
    struct op *op = ctx;
    if (err == E_BUSY)
        return reply_retry_later(op->request, 503, 600,
                                 "This house writes too much mail at the moment. Try again later.");
    if (err != E_OK)
        return reply_error(op->request, err);
    reply_mail(op, 202);
}

static void send_test(struct request *request) {
    struct op *op = op_new(request);
    if (refuse_without_relay(request))
        return;
    mailing_prepare(&op->test, request->arena, LETTER_TEST,
                    request_header(request, "accept-language"));
    store_write(writer_test, on_test_written, op);
}

/* clang-format off */
const struct route outbox_routes[] = {
    {METHOD_GET, "/api/v1/admin/outbox", list_outbox, WHO_ADMIN, SCOPE_ADMIN, .query = outbox_query, .query_size = sizeof(struct outbox_query), .tag = "admin", .operation = "listOutbox",
     .summary = "Mail that the house wrote, newest first, without its texts.", .answer = &mail_shape, .answer_is_list = true},
    {METHOD_GET, "/api/v1/admin/outbox/{id}", get_mail, WHO_ADMIN, SCOPE_ADMIN, .tag = "admin", .operation = "getMail",
     .summary = "One mail with its text, as long as it has one and its recipient's role is below yours; who read it is in the audit log.", .answer = &mail_shape},
    {METHOD_POST, "/api/v1/admin/outbox/{id}/send", send_again, WHO_ADMIN, SCOPE_ADMIN, .tag = "admin", .operation = "sendMail",
     .summary = "Hands a mail that rests or failed to the relay.", .status = 202, .answer = &mail_shape},
    {METHOD_POST, "/api/v1/admin/outbox/test", send_test, WHO_ADMIN, SCOPE_ADMIN, .tag = "admin", .operation = "sendTestMail",
     .summary = "Sends a mail to yourself, to see whether the relay takes it.", .status = 202, .answer = &mail_shape},
    {0}};
/* clang-format on */
