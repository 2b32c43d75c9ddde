/*
 * A document that a character knows: its bytes become plain text with headings as Markdown has
 * them, and that text becomes chunks that are found, told and cited one by one. All on pool threads.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define DOCUMENT_LIMIT_BYTES ((size_t)8 << 20) /* of a file */
#define DOCUMENT_TEXT_BYTES  ((size_t)4 << 20) /* of what is read in it */
#define CHUNKS_LIMIT         2000              /* of a document: about a novel */

struct chunk {
    struct str heading; /* where it stands: "The harbour > The lighthouse"; "" before any */
    struct str content;
};

/*
 * The text of a file, by its content type (Markdown, plain text, HTML, PDF) or, when that says
 * nothing, by its bytes. E_INPUT with *problem for a person: no text in it; E_ABSENT: of a kind
 * that this server cannot read (PDF without pdftotext); E_LIMIT: too long. The text is UTF-8.
 */
MUST_USE enum err pool_document_text(struct arena *arena, struct str bytes, struct str content_type,
                                     struct str *text, const char **problem);
/* HTML as text: for a table of tests and a fuzzer. Always ends, whatever it is given. */
struct str document_from_html(struct arena *arena, struct str html);
/* Cut by its structure: a heading begins a chunk, paragraphs stay whole while they are short. */
struct chunk *document_chunks(struct arena *arena, struct str text, size_t *count);

/* Takes a stretch of at most `bytes` off the front: to the end of a sentence or a line, else of a
 * word, never inside a character. */
struct str stretch_take(struct str *rest, size_t bytes);
