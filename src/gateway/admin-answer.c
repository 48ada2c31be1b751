/* SPDX-License-Identifier: ISC */

/* What the admin API says, as responses of libmicrohttpd. All of them forbid what only a page of strangers
 * could want: to be framed, sniffed, stored or read across origins. */

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "admin/admin-service.h"
#include "gateway/admin-internal.h"
#include "gateway/proxy.h"
#include "ipc/bus.h"
#include "util/fd.h"

#define POLICY                                                                                               \
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "    \
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"

typedef struct Header {
    const char *name, *value;
} Header;

/* `r` may be NULL: there was no memory. `more` ends with one that has no name. */
static void answer(Exchange *e, unsigned status, struct MHD_Response *r, const Header *more)
{
    static const Header always[] = {
            {"X-Content-Type-Options", "nosniff"},
            {"Referrer-Policy", "no-referrer"},
            {"Cross-Origin-Resource-Policy", "same-origin"},
            {"Content-Security-Policy", POLICY},
            {},
    };
    bool good = r;

    for (const Header *h = always; good && h->name; h++)
        good = MHD_add_response_header(r, h->name, h->value) == MHD_YES;
    for (const Header *h = more; good && h->name; h++)
        good = MHD_add_response_header(r, h->name, h->value) == MHD_YES;
    if (good) {
        answer_own(e, status, r);
        return;
    }
    if (r)
        MHD_destroy_response(r);
    exchange_abort(e);
}

void admin_answer_json(Exchange *e, unsigned status, char *text, size_t len)
{
    const Header more[] = {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}, {}};
    struct MHD_Response *r = text ? MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE) : NULL;

    if (!r)
        free(text);
    else
        e->bytes_sent = len;
    answer(e, status, r, more);
}

static char *error_text_json(const char *sentence, size_t *ret_len)
{
    json_object *o = json_object_new_object();
    char *text = NULL;

    if (o && admin_json_add(o, "error", json_object_new_string(sentence)))
        text = admin_json_text(o, ret_len);
    json_object_put(o);
    return text;
}

void admin_answer_error(Exchange *e, unsigned status, const char *sentence, const char *allow)
{
    const Header more[] = {
            {"Content-Type", "application/json"},
            {"Cache-Control", "no-store"},
            status == 405   ? (Header){"Allow", allow}
            : status == 401 ? (Header){"WWW-Authenticate", "Bearer realm=\"dynapm\""}
            : status == 503 ? (Header){"Retry-After", "1"}
                            : (Header){},
            {},
    };
    size_t len = 0;

    char *text = error_text_json(sentence, &len);
    struct MHD_Response *r = text ? MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE) : NULL;
    if (!r)
        free(text);
    e->bytes_sent = len;
    answer(e, status, r, more);
}

void admin_answer_failure(Exchange *e, const sd_bus_error *error)
{
    static const struct {
        const char *name;
        unsigned status;
    } table[] = {
            {BUS_ERROR_WRONG_STATE, 400},
            {SD_BUS_ERROR_NOT_SUPPORTED, 400},
            {SD_BUS_ERROR_ACCESS_DENIED, 403},
            {BUS_ERROR_NO_SUCH_SERVICE, 404},
            {BUS_ERROR_NO_JOURNAL, 501},
            {BUS_ERROR_START_FAILED, 503},
            {BUS_ERROR_TOO_MANY, 503},
            {BUS_ERROR_SHUTTING_DOWN, 503},
            {BUS_ERROR_NO_ADMIN, 503},
    };
    for (size_t i = 0; i < ELEMENTSOF(table); i++)
        if (sd_bus_error_has_name(error, table[i].name)) {
            admin_answer_error(e, table[i].status, error->message ?: "It cannot be done.", NULL);
            return;
        }
    admin_answer_error(e, 503, ADMIN_MANAGER_AWAY, NULL);
}

void admin_answer_asset(Exchange *e, const AdminAsset *asset)
{
    const Header more[] = {
            {"Content-Type", asset->type}, {"ETag", asset->etag}, {"Cache-Control", "no-cache"}, {}};
    const char *known = NULL;
    size_t len = 0;

    bool has = MHD_lookup_connection_value_n(e->mhd, MHD_HEADER_KIND, "If-None-Match",
                       STRLEN("If-None-Match"), &known, &len) == MHD_YES;
    bool same = has && known && memmem(known, len, asset->etag, strlen(asset->etag));
    e->bytes_sent = same ? 0 : asset->size;
    answer(e, same ? 304 : 200,
            MHD_create_response_from_buffer(
                    same ? 0 : asset->size, (void *) asset->data, MHD_RESPMEM_PERSISTENT),
            more);
}

void admin_answer_metrics(Exchange *e, int fd, bool openmetrics)
{
    const Header more[] = {
            {"Content-Type", openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                         : "text/plain; version=0.0.4; charset=utf-8"},
            {"Cache-Control", "no-store"},
            {"Vary", "Accept"},
            {},
    };
    struct MHD_Response *r = NULL;
    struct stat st = {};

    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy >= 0 && fstat(copy, &st) == 0)
        r = MHD_create_response_from_fd64((uint64_t) st.st_size, copy); /* which is its own from then on */
    if (!r)
        fd_close(copy);
    e->bytes_sent = (uint64_t) st.st_size;
    answer(e, 200, r, more);
}

void admin_answer_redirect(Exchange *e, const char *where)
{
    const Header more[] = {{"Location", where}, {}};
    answer(e, 307, MHD_create_response_from_buffer(0, (void *) "", MHD_RESPMEM_PERSISTENT), more);
}

static ssize_t on_read(void *cls, uint64_t at, char *buf, size_t max)
{
    return stream_read(cls, buf, max);
}

void admin_answer_stream(Exchange *e, AdminStream *stream)
{
    static const Header more[] = {
            {"Content-Type", "text/event-stream"},
            {"Cache-Control", "no-cache, no-store"},
            {"X-Accel-Buffering", "no"}, /* for an nginx in front */
            {},
    };
    /* Chunks are built in the connection's own memory; who does not know them gets plain blocks. */
    answer(e, 200,
            MHD_create_response_from_callback(
                    MHD_SIZE_UNKNOWN, e->facts.http_1_0 ? 16384 : 64, on_read, stream, NULL),
            more);
}
