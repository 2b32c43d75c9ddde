/* Answers that several files of routes give. Inside character only. */
#pragma once

#include "character/character.h"
#include "net/request.h"

/*
 * One character, as it is on disk now, with its ETag; a GET may become a 304. The ETag counts
 * revisions twice, and one more while the character is a favourite of the reader, because that too
 * is in the answer.
 */
void reply_character(struct request *request, int64_t id, int status);
/* The revision that If-Match names: -1 when it was not sent, 0 when it is none of ours. */
int64_t expected_revision(const struct request *request);
/* True when the change failed and that has been answered; E_DENIED tells somebody else's character
 * from the age gate. */
bool reply_failed(struct request *request, enum err err);
void reply_too_young(struct request *request); /* 403: the age gate */
/* The part of the router's word {n} that is a number above 0; E_ABSENT otherwise. */
MUST_USE enum err revision_number(struct str word, int64_t *n);
