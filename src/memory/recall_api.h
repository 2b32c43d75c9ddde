/* The routes of recall: what is indexed of a conversation, and what can be found in it. */
#pragma once

#include "net/router.h"

extern const struct route recall_routes[];
