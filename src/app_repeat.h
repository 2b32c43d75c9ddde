/* Idempotency-Key between router (which sees the header) and store (which keeps the first answer).
 */
#pragma once

#include "net/request.h"

void repeat_begin(struct request *request, struct str key,
                  void (*proceed)(struct request *request));
void repeat_record(struct request *request, int status, struct str content_type, struct str body,
                   void (*sent)(struct request *request));
