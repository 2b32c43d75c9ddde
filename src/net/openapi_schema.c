/*
 * JSON Schema from field rows: the half of openapi.json that says what may be inside.
 *
 * A row is the same whether it is read (a body, a query) or written (an answer), but its limits are
 * promises about what is read only: an answer may hold what an older version of the server let in.
 * Named shapes are referred to, never written out here.
 */
#include "net/openapi_inside.h"

#include <stdio.h>

#include "base/banned.h"

void openapi_ref(struct json *json, const char *folder, const char *name) {
    char text[128];
    int len = snprintf(text, sizeof(text), "#/components/%s/%s", folder, name);
    json_object_begin(json);
    JSON_STR(json, "$ref", str_of(text, (size_t)len));
    json_object_end(json);
}

void openapi_type(struct json *json, const char *type, bool may_be_null) {
    if (!may_be_null) {
        JSON_STR(json, "type", str_from(type));
        return;
    }
    JSON_ARRAY(json, "type");
    json_write_str(json, str_from(type));
    json_write_str(json, STR("null"));
    json_array_end(json);
}

static void write_number(struct json *json, const char *key, double number) {
    json_key(json, str_from(key));
    if (number == (double)(int64_t)number)
        json_write_int(json, (int64_t)number);
    else
        json_write_double(json, number);
}

static void write_bounds(struct json *json, const struct field *row) {
    if (row->min != 0 || row->max != 0)
        write_number(json, "minimum", row->min);
    if (row->max != 0 || row->min < 0)
        write_number(json, "maximum", row->max);
}

static void write_text_limits(struct json *json, double min, double max, bool is_input) {
    if (!is_input)
        return;
    if (min > 0)
        write_number(json, "minLength", min);
    write_number(json, "maxLength", max > 0 ? max : FIELD_TEXT_MAX);
}

static void write_choices(struct json *json, const struct field *row) {
    JSON_ARRAY(json, "enum");
    for (size_t i = 0; row->choices != NULL && row->choices[i] != NULL; i++)
        json_write_str(json, str_from(row->choices[i]));
    if (row->may_be_null)
        json_write_null(json);
    json_array_end(json);
}

void openapi_id(struct json *json, bool may_be_null) {
    openapi_type(json, "string", may_be_null);
    JSON_STR(json, "pattern", STR("^[0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{13}$"));
}

static void write_fallback(struct json *json, const struct field *row) {
    if (row->fallback == NULL)
        return;
    json_key(json, STR("default"));
    if (row->type == FIELD_INT || row->type == FIELD_NUMBER || row->type == FIELD_BOOL)
        json_write_raw(json, str_from(row->fallback));
    else
        json_write_str(json, str_from(row->fallback));
}

static void write_items(struct json *json, const struct field *row, bool is_input) {
    json_key(json, STR("items"));
    json_object_begin(json);
    if (row->type == FIELD_IDS) {
        openapi_id(json, false);
    } else if (row->type == FIELD_TEXTS) {
        openapi_type(json, "string", false);
        write_text_limits(json, 0, row->item_max, is_input);
    }
    json_object_end(json);
}

static void write_list_limits(struct json *json, const struct field *row, bool is_input) {
    if (!is_input)
        return;
    if (row->min > 0)
        write_number(json, "minItems", row->min);
    write_number(json, "maxItems", row->max > 0 ? row->max : FIELD_ITEMS_MAX);
}

static void write_number_type(struct json *json, const struct field *row) {
    openapi_type(json, row->type == FIELD_INT ? "integer" : "number", row->may_be_null);
    write_bounds(json, row);
}

static void write_list(struct json *json, const struct field *row, bool is_input) {
    openapi_type(json, "array", row->may_be_null);
    write_items(json, row, is_input);
    write_list_limits(json, row, is_input);
}

/* The members of a schema of one value, without the braces. */
static void write_simple(struct json *json, const struct field *row, bool is_input) {
    switch (row->type) {
    case FIELD_TEXT:
        openapi_type(json, "string", row->may_be_null);
        write_text_limits(json, row->min, row->max, is_input);
        break;
    case FIELD_INT:
    case FIELD_NUMBER:
        write_number_type(json, row);
        break;
    case FIELD_BOOL:
        openapi_type(json, "boolean", row->may_be_null);
        break;
    case FIELD_ID:
        openapi_id(json, row->may_be_null);
        break;
    case FIELD_CHOICE:
        openapi_type(json, "string", row->may_be_null);
        write_choices(json, row);
        break;
    case FIELD_TIME:
        openapi_type(json, "string", row->may_be_null);
        JSON_STR(json, "format", STR("date-time"));
        break;
    case FIELD_TEXTS:
    case FIELD_IDS:
        write_list(json, row, is_input);
        break;
    case FIELD_FILE:
        openapi_type(json, "string", false);
        JSON_STR(json, "contentMediaType", STR("application/octet-stream"));
        break;
    default:
        break; /* FIELD_JSON: anything */
    }
}

/* A schema of the object that a row holds: named, or written out. */
static void write_object(struct json *json, const struct field *row, bool is_input) {
    if (row->shape != NULL)
        openapi_ref(json, "schemas", row->shape->name);
    else if (row->rows != NULL)
        openapi_object(json, row->rows, is_input);
    else
        write_simple(json, row, is_input);
}

static bool is_object_row(const struct field *row) {
    return row->shape != NULL || row->rows != NULL;
}

static void write_array(struct json *json, const struct field *row, bool is_input) {
    openapi_type(json, "array", row->may_be_null);
    json_key(json, STR("items"));
    if (is_object_row(row)) {
        write_object(json, row, is_input);
    } else {
        struct field item = *row;
        item.is_list = item.may_be_null = false;
        if (item.type == FIELD_TEXTS)
            item.type = FIELD_TEXT; /* a row of texts is a list already */
        else if (item.type == FIELD_IDS)
            item.type = FIELD_ID;
        json_object_begin(json);
        write_simple(json, &item, is_input);
        json_object_end(json);
    }
    write_list_limits(json, row, is_input);
}

static void write_nested(struct json *json, const struct field *row, bool is_input) {
    json_key(json, row->may_be_null ? STR("anyOf") : STR("allOf"));
    json_array_begin(json);
    write_object(json, row, is_input);
    if (row->may_be_null) {
        json_object_begin(json);
        JSON_STR(json, "type", STR("null"));
        json_object_end(json);
    }
    json_array_end(json);
}

void openapi_property(struct json *json, const struct field *row, bool is_input) {
    json_object_begin(json);
    if (row->is_list || row->type == FIELD_OBJECTS)
        write_array(json, row, is_input);
    else if (is_object_row(row))
        write_nested(json, row, is_input);
    else
        write_simple(json, row, is_input);
    write_fallback(json, row);
    if (row->help != NULL)
        JSON_STR(json, "description", str_from(row->help));
    json_object_end(json);
}

static void write_required(struct json *json, const struct field *rows) {
    bool has_any = false;
    for (size_t i = 0; rows[i].name != NULL; i++) {
        if (!rows[i].is_required)
            continue;
        if (!has_any)
            JSON_ARRAY(json, "required");
        has_any = true;
        json_write_str(json, str_from(rows[i].name));
    }
    if (has_any)
        json_array_end(json);
}

void openapi_object(struct json *json, const struct field *rows, bool is_input) {
    json_object_begin(json);
    JSON_STR(json, "type", STR("object"));
    if (field_takes_any(rows)) {
        JSON_STR(json, "description", str_from(rows[0].help));
        JSON_BOOL(json, "additionalProperties", true);
        return json_object_end(json);
    }
    JSON_OBJECT(json, "properties");
    for (size_t i = 0; rows[i].name != NULL; i++) {
        json_key(json, str_from(rows[i].name));
        openapi_property(json, &rows[i], is_input);
    }
    json_object_end(json);
    write_required(json, rows);
    if (is_input)
        JSON_BOOL(json, "additionalProperties", false);
    json_object_end(json);
}

void field_schema(struct json *json, const struct field *rows) {
    openapi_object(json, rows, true);
}
