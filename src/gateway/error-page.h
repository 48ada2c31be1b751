/* SPDX-License-Identifier: ISC */
#pragma once

/* What a client reads when the gateway answers by itself: one sentence, as text, HTML or
 * application/problem+json (RFC 9457). */

#include "util/macro.h"

typedef struct ErrorPage {
    char *body; /* owned by whoever made the page */
    size_t len;
    const char *content_type; /* static */
} ErrorPage;

/* `accept` is the request's Accept value (may be NULL, not NUL-terminated); `sentence` is escaped as its form
 * needs. 0 or -ENOMEM. */
int error_page_make(
        unsigned status, const char *sentence, const char *accept, size_t accept_len, ErrorPage *ret);

/* The reason phrase of a status that the gateway uses. */
const char *status_phrase(unsigned status) _const_;
