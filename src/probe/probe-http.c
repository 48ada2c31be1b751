/* SPDX-License-Identifier: ISC */

/* Ready is what answers a GET with the right status. One connection an attempt, HTTP/1.1, closed as soon as
 * the final response's head is there: its body is of no interest, a redirect is an answer and is not
 * followed. RFC 9110 15.2: any number of interim (1xx) responses may come before. */

#include "probe/probe-internal.h"

#include <stdio.h>
#include <sys/epoll.h>

#include "util/text.h"
#include "wire/response-head.h"

typedef struct HttpAttempt {
    char *request;
    size_t request_len, sent;
    size_t received;
    char buf[RESPONSE_HEAD_MAX + 1]; /* one more, so that the parser can say "too long" */
} HttpAttempt;

static HttpAttempt *http_attempt_free(HttpAttempt *h)
{
    if (!h)
        return NULL;
    free(h->request);
    return mfree(h);
}
DEFINE_CLEANUP(HttpAttempt *, http_attempt_free)

static void end_with_error(Probe *p, int error)
{
    char buf[ERROR_TEXT_MAX];
    probe_attempt_done(p, -error, error_text(buf, error));
}

static void end_with_status(Probe *p, unsigned status)
{
    unsigned expected = p->config->health_check.expected_status;
    char why[64];

    if (expected ? status == expected : status >= 200 && status <= 399) {
        probe_attempt_done(p, 0, NULL);
        return;
    }
    if (expected)
        snprintf(why, sizeof why, "status %u, expected %u", status, expected);
    else
        snprintf(why, sizeof why, "status %u, expected 200 to 399", status);
    probe_attempt_done(p, -EBADMSG, why);
}

/* Looks for the final response among what has come. Returns true when the attempt has ended with it. */
static bool parse(Probe *p)
{
    HttpAttempt *h = p->http;

    for (;;) {
        ResponseHead head;
        int n = response_head_parse(&head, h->buf, h->received, false);
        if (n == -EAGAIN)
            return false;
        if (n < 0) {
            probe_attempt_done(p, n,
                    n == -EMSGSIZE ? "the head of its response is too long"
                                   : "its response is not valid HTTP/1.1");
            return true;
        }
        if (head.status >= 200) {
            end_with_status(p, head.status);
            return true;
        }
        h->received -= (size_t) n;
        memmove(h->buf, h->buf + n, h->received);
    }
}

static void receive(Probe *p)
{
    HttpAttempt *h = p->http;

    for (;;) {
        ssize_t n = recv(p->connector.fd, h->buf + h->received, sizeof h->buf - h->received, 0);
        if (n < 0) {
            if (errno == EINTR)
                continue;
            if (errno != EAGAIN)
                end_with_error(p, errno);
            return;
        }
        if (n == 0) {
            probe_attempt_done(p, -ECONNRESET, "connection closed without a response");
            return;
        }
        h->received += (size_t) n;
        if (parse(p))
            return;
    }
}

/* Returns 1 when all is sent, 0 when the socket takes no more now, or -errno. */
static int send_request(Probe *p)
{
    HttpAttempt *h = p->http;

    while (h->sent < h->request_len) {
        ssize_t n = send(p->connector.fd, h->request + h->sent, h->request_len - h->sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EINTR)
                continue;
            return errno == EAGAIN ? 0 : -errno;
        }
        h->sent += (size_t) n;
    }
    return 1;
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    Probe *p = userdata;

    if (p->http->sent == p->http->request_len) {
        receive(p);
        return 0;
    }
    int r = send_request(p);
    if (r == 1)
        r = sd_event_source_set_io_events(source, EPOLLIN);
    if (r < 0)
        end_with_error(p, -r);
    return 0;
}

static void http_connected(Probe *p)
{
    int r = send_request(p);

    if (r >= 0)
        r = sd_event_add_io(
                p->context.event, &p->connector.io, p->connector.fd, r == 1 ? EPOLLIN : EPOLLOUT, on_io, p);
    if (r < 0)
        end_with_error(p, -r);
    else
        (void) sd_event_source_set_description(p->connector.io, "probe-http");
}

static HttpAttempt *http_attempt_new(const HealthCheckConfig *c)
{
    _cleanup_(http_attempt_freep) HttpAttempt *h = malloc(sizeof *h);
    if (!h)
        return NULL;
    h->sent = h->received = 0;
    h->request = text_format("GET %s HTTP/1.1\r\n"
                             "Host: %s\r\n"
                             "User-Agent: dynapm\r\n"
                             "Accept: */*\r\n"
                             "Connection: close\r\n"
                             "\r\n",
            c->path, c->host);
    if (!h->request)
        return NULL;
    h->request_len = strlen(h->request);
    return TAKE_PTR(h);
}

static void http_attempt(Probe *p)
{
    p->http = http_attempt_new(&p->config->health_check);
    if (p->http)
        probe_connect(p, http_connected);
    else
        end_with_error(p, ENOMEM);
}

static void http_cancel(Probe *p)
{
    probe_disconnect(p);
    p->http = http_attempt_free(p->http);
}

const ProbeVTable probe_http_vtable = {.attempt = http_attempt, .cancel = http_cancel};
