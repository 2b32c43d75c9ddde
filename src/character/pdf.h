/* The text of a PDF, by the program pdftotext (poppler-utils) when it is installed. Pool thread. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

/* E_ABSENT: pdftotext is not there. E_INPUT: it could not read this. E_TIMEOUT, E_LIMIT: it was
 * stopped. */
MUST_USE enum err pool_pdf_text(struct arena *arena, struct str bytes, struct str *text);
