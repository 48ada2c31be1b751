/* SPDX-License-Identifier: ISC */

/* Reads what the manager has somebody write to a pipe, to its end or up to a limit: what comes behind that is
 * left out. */

#include <fcntl.h>
#include <unistd.h>

#include "admin/admin-service.h"
#include "gateway/admin-internal.h"
#include "gateway/proxy.h"
#include "util/fd.h"

#define LOGS_MAX (4 * 1024 * 1024)

struct LogReader {
    AdminExchange *exchange;
    sd_event_source *source;
    int fd;
    char *text;
    size_t len, allocated;
};

LogReader *log_reader_free(LogReader *l)
{
    if (!l)
        return NULL;
    sd_event_source_disable_unref(l->source);
    fd_close(l->fd);
    free(l->text);
    return mfree(l);
}

static void finish(LogReader *l)
{
    AdminExchange *x = l->exchange;
    size_t len = 0;

    json_object *o = admin_logs_read(l->text, l->len);
    char *text = o ? admin_json_text(o, &len) : NULL;
    json_object_put(o);
    x->logs = log_reader_free(l);
    admin_answer_json(x->exchange, 200, text, len);
    exchange_poke(x->exchange);
}

static int on_readable(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    LogReader *l = userdata;

    if (l->len == l->allocated) {
        size_t size = MAX(l->allocated * 2, (size_t) 65536);
        char *grown = size <= LOGS_MAX ? realloc(l->text, size) : NULL;
        if (!grown) {
            finish(l);
            return 0;
        }
        l->text = grown;
        l->allocated = size;
    }
    ssize_t n = read(fd, l->text + l->len, l->allocated - l->len);
    if (n > 0)
        l->len += (size_t) n;
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        finish(l);
    return 0;
}

int log_reader_new(AdminExchange *x, int fd, LogReader **ret)
{
    LogReader *l = new0(LogReader, 1);
    if (!l)
        return -ENOMEM;
    *l = (LogReader){.exchange = x, .fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)};
    int r = l->fd < 0 ? -errno : fcntl(l->fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
    if (r >= 0)
        r = sd_event_add_io(x->api->proxy->event, &l->source, l->fd, EPOLLIN, on_readable, l);
    if (r < 0) {
        log_reader_free(l);
        return r;
    }
    (void) sd_event_source_set_description(l->source, "admin-logs");
    *ret = l;
    return 0;
}
