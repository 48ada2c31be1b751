/* SPDX-License-Identifier: ISC */
#pragma once

/* Sentences that are put together for people. */

#include "util/macro.h"

/* Formatted text in fresh memory that the caller frees; NULL when out of memory. */
char *text_format(const char *format, ...) _printf_(1, 2);

#define ERROR_TEXT_MAX 128

/* An errno's text as a part of a sentence: "connection refused" (acronyms such as I/O stay). Returns buf. */
const char *error_text(char buf[static ERROR_TEXT_MAX], int error);
