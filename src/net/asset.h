/* What is embedded in the binary, over HTTP: hashed names that never change, pre-compressed bodies,
 * strong ETags, ranges, and the app shell for the app's own paths. */
#pragma once

#include "net/router.h"

/* Answers GET and HEAD of paths that no route matched: a file of web/, or index.html for the app's
 * pages. False when there is no such asset. */
bool asset_serve(struct request *request);
/* The security headers of the app's pages (CSP, nosniff, Referrer-Policy ...). */
void asset_security_headers(struct request *request);
