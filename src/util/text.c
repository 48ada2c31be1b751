/* SPDX-License-Identifier: ISC */

/* Small helpers around printf(3) and strerror(3), and the form of UTF-8. */

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

size_t text_utf8_len(const char *text, size_t left)
{
    const unsigned char *p = (const unsigned char *) text;
    size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : 4;

    if (p[0] >= 0x80 && (p[0] < 0xc2 || p[0] > 0xf4))
        return 0;
    if (n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
            (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

bool text_is_utf8(const char *s)
{
    size_t n, left = strlen(s);

    for (; left > 0 && (n = text_utf8_len(s, left)) > 0; left -= n)
        s += n;
    return left == 0;
}

const char *text_copy_utf8(char *buf, size_t size, const char *s)
{
    size_t at = 0, left = strlen(s);

    while (left > 0) {
        size_t n = text_utf8_len(s, left), taken = MAX(n, (size_t) 1);
        if (at + taken >= size)
            break;
        memcpy(buf + at, n > 0 ? s : "?", taken);
        at += taken;
        s += taken;
        left -= taken;
    }
    buf[at] = 0;
    return buf;
}
