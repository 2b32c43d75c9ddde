/*
 * GET and PATCH /admin/settings: every setting of every feature, from the rows that also read the
 * file, so that a new setting is here by being a row.
 *
 * A change is judged by its row, stored with a line in the audit log, and then all settings are
 * read again as after SIGHUP: one way in, one order of precedence. What a flag or a variable of the
 * environment says cannot be changed from here: it would come back with the next start, and whoever
 * set it there meant it. Secrets are neither shown nor taken. What decides where mail goes and
 * where its links lead (is_owners) is taken from the owner alone: with it an admin could have the
 * owner's new password sent to themself.
 */
#include "admin/settings_api.h"

#include "admin/admin_store.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/audit.h"

#include <string.h>

#include "base/banned.h"

#define CHANGES_LIMIT CONFIG_ROWS_MAX

struct settings_body {
    const struct json_value *members;
};

/* clang-format off */
static const struct field settings_fields[] = {
    {"*", FIELD_JSON, AT(struct settings_body, members), .help = "Names of settings (\"section.key\") with their new values; null goes back to what the file or the default says."},
    {0}};
static const char *const type_words[] = {[SETTING_INT] = "int", [SETTING_BOOL] = "bool", [SETTING_TEXT] = "text", [SETTING_CHOICE] = "choice", NULL};
static const char *const source_words[] = {[SOURCE_DEFAULT] = "default", [SOURCE_FILE] = "file", [SOURCE_STORED] = "stored",
                                           [SOURCE_ENVIRONMENT] = "environment", [SOURCE_FLAG] = "flag", NULL};
static const struct field setting_rows[] = {
    {"name", FIELD_TEXT, .is_required = true, .help = "section.key, as in the file."},
    {"type", FIELD_CHOICE, .choices = type_words, .is_required = true, .help = "What kind of value it takes."},
    {"value", FIELD_JSON, .is_required = true, .help = "What it is now: a number, a truth or a text; null for a secret."},
    {"default", FIELD_JSON, .is_required = true, .help = "What it is when nobody says anything."},
    {"stored", FIELD_TEXT, .may_be_null = true, .is_required = true, .help = "What an admin stored, also when it waits for a restart."},
    {"source", FIELD_CHOICE, .choices = source_words, .is_required = true, .help = "Who said so; a flag or the environment cannot be changed from here."},
    {"choices", FIELD_TEXTS, .is_list = true, .help = "Of a choice."},
    {"min", FIELD_INT, .help = "Of a number; of a text its bytes."},
    {"max", FIELD_INT, .help = "Likewise."},
    {"unit", FIELD_TEXT, .help = "Of a number."},
    {"help", FIELD_TEXT, .is_required = true, .help = "What it does, in one sentence."},
    {"needs_restart", FIELD_BOOL, .is_required = true, .help = "A change takes effect with the next start."},
    {"is_secret", FIELD_BOOL, .is_required = true, .help = "Neither shown nor taken here."},
    {"is_owners", FIELD_BOOL, .is_required = true, .help = "Only the owner changes it."},
    {0}};
static const struct shape setting_shape = {"Setting", setting_rows, "One setting of the house."};
/* clang-format on */

static const struct settings_port *port;

void settings_use(const struct settings_port *new_port) {
    port = new_port;
}

struct str settings_problems(void) {
    return buf_str(&port->now()->problems);
}

bool settings_read_stored(struct config *config) {
    struct arena arena;
    struct stored_setting *items;
    size_t count;
    arena_init(&arena);
    bool is_read = setting_list(store_reader(), &arena, &items, &count) == E_OK;
    for (size_t i = 0; is_read && i < count; i++)
        config_read_stored(config, items[i].name, items[i].value);
    arena_release(&arena);
    return is_read && count > 0;
}

/* --- out -------------------------------------------------------------------------------------- */

/* What stands at the row's place in the running house. */
static struct setting_value value_now(const struct setting *row) {
    struct setting_value value = {0};
    if (row->type == SETTING_INT)
        value.number = *(const int64_t *)row->at;
    else if (row->type == SETTING_BOOL)
        value.truth = *(const bool *)row->at;
    else if (row->type == SETTING_TEXT)
        value.text = *(const struct str *)row->at;
    else
        value.choice = *(const int *)row->at;
    return value;
}

static void write_value(struct json *json, const struct setting *row,
                        const struct setting_value *value) {
    if (row->is_secret)
        json_write_null(json);
    else if (row->type == SETTING_INT)
        json_write_int(json, value->number);
    else if (row->type == SETTING_BOOL)
        json_write_bool(json, value->truth);
    else if (row->type == SETTING_TEXT)
        json_write_str(json, value->text.at != NULL ? value->text : STR(""));
    else
        json_write_str(json, str_from(row->choices[value->choice]));
}

static void write_bounds(struct json *json, const struct setting *row) {
    if (row->choices != NULL) {
        JSON_ARRAY(json, "choices");
        for (size_t i = 0; row->choices[i] != NULL; i++)
            json_write_str(json, str_from(row->choices[i]));
        json_array_end(json);
    }
    if (row->min != 0 || row->max != 0) {
        JSON_INT(json, "min", row->min);
        JSON_INT(json, "max", row->max);
    }
    if (row->unit != NULL)
        JSON_STR(json, "unit", str_from(row->unit));
}

static void setting_write(struct request *request, const struct setting *row,
                          enum setting_source source, struct str stored) {
    struct json *json = reply_json(request);
    struct setting_value now = value_now(row), usual;
    if (setting_parse(request->arena, row, str_from(row->fallback), &usual) != NULL)
        usual = now; /* cannot be: config_init has judged every default */
    json_object_begin(json);
    JSON_STR(json, "name", str_printf(request->arena, "%s.%s", row->section, row->key));
    JSON_STR(json, "type", str_from(type_words[row->type]));
    json_key(json, STR("value"));
    write_value(json, row, &now);
    json_key(json, STR("default"));
    write_value(json, row, &usual);
    JSON_STR(json, "stored", row->is_secret ? STR_NONE : stored);
    JSON_STR(json, "source", str_from(source_words[source]));
    write_bounds(json, row);
    JSON_STR(json, "help", str_from(row->help));
    JSON_BOOL(json, "needs_restart", row->needs_restart);
    JSON_BOOL(json, "is_secret", row->is_secret);
    JSON_BOOL(json, "is_owners", row->is_owners);
    json_object_end(json);
}

static struct str find_stored(const struct stored_setting *items, size_t count,
                              const struct setting *row) {
    for (size_t i = 0; i < count; i++) {
        struct str rest = items[i].name, section;
        if (str_next(&rest, '.', &section) && str_eq(section, str_from(row->section)) &&
            str_eq(rest, str_from(row->key)))
            return items[i].value;
    }
    return STR_NONE;
}

static void list_settings(struct request *request) {
    const struct config *config = port->now();
    struct stored_setting *items;
    size_t count;
    enum err err = setting_list(store_reader(), request->arena, &items, &count);
    if (err != E_OK)
        return reply_error(request, err);
    reply_list_begin(request);
    const struct setting *row;
    for (size_t i = 0; (row = config_row(config, i)) != NULL; i++)
        setting_write(request, row, (enum setting_source)config->sources[i],
                      find_stored(items, count, row));
    reply_list_end(request, STR_NONE);
}

/* --- in --------------------------------------------------------------------------------------- */

struct setting_change {
    struct str name, before;
    struct str after; /* STR_NONE: not stored any more */
};

struct settings_op {
    struct request *request;
    struct setting_change *changes;
    size_t count;
};

static enum err writer_settings(struct tx *tx, void *ctx) {
    const struct settings_op *op = ctx;
    int64_t by = op->request->caller.user_id;
    enum err err = E_OK;
    for (size_t i = 0; i < op->count && err == E_OK; i++) {
        const struct setting_change *change = &op->changes[i];
        err = change->after.at == NULL
                  ? setting_remove(tx, change->name)
                  : setting_put(tx, &(struct stored_setting){change->name, change->after, by,
                                                             clock_now_ms()});
        const char *name = str_dup_z(op->request->arena, change->name);
        if (err == E_OK)
            err = audit_add(tx,
                            &(struct audit){.actor_id = by,
                                            .action = STR("settings.change"),
                                            .target_kind = STR("setting"),
                                            .detail = audit_change(op->request->arena, name,
                                                                   change->before, change->after)});
    }
    return err;
}

static void on_settings_stored(enum err err, void *ctx) {
    struct settings_op *op = ctx;
    if (err != E_OK)
        return reply_error(op->request, err);
    log_info("admin", "settings were changed", LF_ID("by", op->request->caller.user_id),
             LF_INT("count", (int64_t)op->count));
    port->read_again();
    list_settings(op->request);
}

/* The value as it would stand in the file; STR_NONE when its JSON type does not fit the row's. */
static struct str text_of(const struct setting *row, const struct json_value *value) {
    switch (json_type(value)) {
    case JSON_NUMBER:
        return row->type == SETTING_INT ? json_number_text(value) : STR_NONE;
    case JSON_BOOL:
        return row->type != SETTING_BOOL ? STR_NONE
               : json_bool(value, false) ? STR("true")
                                         : STR("false");
    case JSON_STRING:
        return row->type != SETTING_BOOL ? json_string(value, STR_NONE) : STR_NONE;
    default:
        return STR_NONE;
    }
}

static const char *why_fixed(const struct setting *row, enum setting_source source,
                             enum role role) {
    if (row->is_secret)
        return "is a secret: it is said in the file or the environment, where nobody can read it from here";
    if (row->is_owners && role < ROLE_OWNER)
        return "is the owner's to change: it decides where links lead that open accounts";
    if (source == SOURCE_FLAG)
        return "was said by a flag when the server was started, and can only be changed there";
    if (source == SOURCE_ENVIRONMENT)
        return "was said by the environment when the server was started, and can only be changed there";
    return NULL;
}

/* NULL and the change, or what is wrong with it. */
static const char *judge(struct request *request, const struct json_value *member,
                         struct setting_change *change) {
    static const char *const wanted[] = {[SETTING_INT] = "must be a whole number",
                                         [SETTING_BOOL] = "must be true or false",
                                         [SETTING_TEXT] = "must be a text",
                                         [SETTING_CHOICE] = "must be one of its choices"};
    const struct config *config = port->now();
    const struct setting *nearest;
    struct setting_value value;
    *change = (struct setting_change){.name = json_name(member)};
    ptrdiff_t index = config_find(config, change->name, &nearest);
    if (index < 0 && nearest != NULL)
        return str_printf(request->arena, "is no setting; did you mean %s.%s?", nearest->section,
                          nearest->key)
            .at;
    if (index < 0)
        return "is no setting";
    const struct setting *row = config_row(config, (size_t)index);
    const char *fixed =
        why_fixed(row, (enum setting_source)config->sources[index], request->caller.role);
    if (fixed != NULL || json_type(member) == JSON_NULL)
        return fixed;
    change->after = text_of(row, member);
    if (change->after.at == NULL)
        return wanted[row->type];
    return setting_parse(request->arena, row, change->after, &value);
}

static void patch_settings(struct request *request) {
    const struct settings_body *body = request->body;
    struct stored_setting *stored;
    size_t stored_count;
    enum err err = setting_list(store_reader(), request->arena, &stored, &stored_count);
    if (err != E_OK)
        return reply_error(request, err);
    if (json_count(body->members) > CHANGES_LIMIT)
        return reply_problem(request, 422, "There are not that many settings.");
    struct settings_op *op = ARENA_NEW(request->arena, struct settings_op);
    op->request = request;
    op->changes = ARENA_ARRAY(request->arena, struct setting_change, json_count(body->members) + 1);
    for (const struct json_value *member = json_first(body->members); member != NULL;
         member = json_next(member)) {
        struct setting_change *change = &op->changes[op->count++];
        const char *wrong = judge(request, member, change);
        if (wrong != NULL)
            return reply_field_problem(request, str_dup_z(request->arena, change->name), "%s",
                                       wrong);
        for (size_t i = 0; i < stored_count; i++)
            if (str_eq(stored[i].name, change->name))
                change->before = stored[i].value;
    }
    store_write(writer_settings, on_settings_stored, op);
}

/* clang-format off */
const struct route settings_routes[] = {
    {METHOD_GET, "/api/v1/admin/settings", list_settings, WHO_ADMIN, SCOPE_ADMIN, .tag = "admin", .operation = "listSettings",
     .summary = "Every setting, what it is now and who said so.", .answer = &setting_shape, .answer_is_list = true},
    {METHOD_PATCH, "/api/v1/admin/settings", patch_settings, WHO_ADMIN, SCOPE_ADMIN, .body = settings_fields, .body_size = sizeof(struct settings_body), .tag = "admin",
     .operation = "updateSettings", .summary = "Changes settings; those that need no restart take effect at once.", .answer = &setting_shape, .answer_is_list = true},
    {0}};
/* clang-format on */
