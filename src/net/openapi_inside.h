/*
 * What the two halves of openapi.json know of each other.
 *
 *   openapi.c         the document: paths, operations, components
 *   openapi_schema.c  what rows of fields look like as JSON Schema
 */
#pragma once

#include "net/field.h"

/* The schema of an object of these rows. is_input: with the limits of what is read, and nothing else
 * is taken. */
void openapi_object(struct json *json, const struct field *rows, bool is_input);
/* The schema of one row, with its default and its sentence. */
void openapi_property(struct json *json, const struct field *row, bool is_input);
/* Members of a schema that stands open: its type (or null), and that of an id. */
void openapi_type(struct json *json, const char *type, bool may_be_null);
void openapi_id(struct json *json, bool may_be_null);
/* {"$ref": "#/components/FOLDER/NAME"} */
void openapi_ref(struct json *json, const char *folder, const char *name);
