/* SPDX-License-Identifier: ISC */

/* Owns the form of interim responses. Every byte was checked when it was parsed. */

#include "wire/interim.h"

#include <stdio.h>

ssize_t interim_write(char *buf, size_t size, const ResponseHead *head)
{
    size_t at = 0;

    int n = snprintf(buf, size, "HTTP/1.1 %u %.*s\r\n", head->status, (int) head->reason_len, head->reason);
    if (n < 0 || (size_t) n >= size)
        return -ENOBUFS;
    at = (size_t) n;
    for (uint32_t i = 0; i < head->n_fields; i++) {
        const Field *f = &head->fields[i];
        if (field_is_hop_by_hop(f) || field_identify(f) == FIELD_CONTENT_LENGTH ||
                connection_options_nominate(&head->connection, f))
            continue;
        if (size - at < (size_t) f->name_len + f->value_len + 4)
            return -ENOBUFS;
        memcpy(buf + at, f->name, f->name_len);
        at += f->name_len;
        memcpy(buf + at, ": ", 2);
        at += 2;
        memcpy(buf + at, f->value, f->value_len);
        at += f->value_len;
        memcpy(buf + at, "\r\n", 2);
        at += 2;
    }
    if (size - at < 2)
        return -ENOBUFS;
    memcpy(buf + at, "\r\n", 2);
    return (ssize_t) at + 2;
}
