/* SPDX-License-Identifier: ISC */
#pragma once

/* Sentences that are put together for people, and what is UTF-8. */

#include "util/macro.h"

/* Formatted text in fresh memory that the caller frees; NULL when out of memory. */
char *text_format(const char *format, ...) _printf_(1, 2);

/* Bytes of the character at p (RFC 3629), of which `left` bytes may be looked at; 0 where there is none: no
 * overlong forms, no surrogates. */
size_t text_utf8_len(const char *p, size_t left) _pure_;
bool text_is_utf8(const char *s) _pure_;
/* Copies whole characters, as many as fit; bytes that are no UTF-8 become '?'. Returns buf. */
const char *text_copy_utf8(char *buf, size_t size, const char *s);

#define ERROR_TEXT_MAX 128

/* An errno's text as a part of a sentence: "connection refused" (acronyms such as I/O stay). Returns buf. */
const char *error_text(char buf[static ERROR_TEXT_MAX], int error);
