/* SPDX-License-Identifier: ISC */

/* Small helpers around printf(3) and strerror(3). */

#include "util/text.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

char *text_format(const char *format, ...)
{
    char *text;
    va_list ap;

    va_start(ap, format);
    int n = vasprintf(&text, format, ap);
    va_end(ap);
    return n < 0 ? NULL : text;
}

const char *error_text(char buf[static ERROR_TEXT_MAX], int error)
{
    errno = error < 0 ? -error : error;
    snprintf(buf, ERROR_TEXT_MAX, "%m");
    if (buf[0] && islower((unsigned char) buf[1]))
        buf[0] = (char) tolower((unsigned char) buf[0]);
    return buf;
}
