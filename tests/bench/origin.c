/* SPDX-License-Identifier: ISC */

/* The fastest origin that is still a plain HTTP/1.1 server: one thread, one epoll, keep-alive, the same small
 * answer to every request head that ends, 20 ms later to what begins with GET /slow, N bytes to GET /bytes/N,
 * and silence behind a 101 to what begins with GET /switch. A POST, whose Content-Length comes with its head
 * in one piece, is read to its end and then answered. It is what stands behind every proxy that is compared,
 * so that the difference between two runs is the proxies'.
 *
 *   bench-origin PORT [STAMP [PATH]]   writes the CLOCK_MONOTONIC ns of the moment when it can accept to the
 * file STAMP ("-": nowhere); PATH is a unix socket to listen on as well */

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define ANSWER                                                                                               \
    "HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"                           \
    "Content-Type: text/plain\r\nContent-Length: 14\r\n\r\nHello, world!\n"

#define SWITCHED "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

#define SLOW_NS 20000000
#define SLOW_MAX 4096

/* Answers to be given later, in order of time. */
static struct {
    int fd;
    long long at;
} slow[SLOW_MAX];
static unsigned slow_head, slow_tail;

/* How much of "\r\n\r\n" each connection has seen at its end; requests have no body. 5: it was switched. */
static unsigned char *matched;
/* Bytes of a body that are still to be sent, or to be read. */
static long long *to_send, *to_read;

static long long now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long) now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Gives the answers that are due. Returns for how long to wait for the next, in ms, -1 for ever. */
static int answer_slowly(void)
{
    while (slow_head != slow_tail) {
        long long left = slow[slow_head % SLOW_MAX].at - now_ns();
        if (left > 0)
            return (int) (left / 1000000) + 1;
        (void) !write(slow[slow_head++ % SLOW_MAX].fd, ANSWER, strlen(ANSWER));
    }
    return -1;
}

static void go_on_sending(int fd, int epoll_fd)
{
    static const char body[256 * 1024];
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};

    while (to_send[fd] > 0) {
        size_t len = to_send[fd] < (long long) sizeof body ? (size_t) to_send[fd] : sizeof body;
        ssize_t n = send(fd, body, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0) {
            e.events = errno == EAGAIN ? EPOLLOUT : EPOLLIN; /* a broken one is seen there */
            break;
        }
        to_send[fd] -= n;
    }
    (void) epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &e);
}

static void send_bytes(int fd, int epoll_fd, const char *in)
{
    char head[128];

    to_send[fd] = atoll(in + strlen("GET /bytes/"));
    int n = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %lld\r\n\r\n", to_send[fd]);
    (void) send(fd, head, (size_t) n, MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE);
    go_on_sending(fd, epoll_fd);
}

/* The length of the body whose head is at in, which gets a NUL, less what came with it. */
static long long body_left(char *in, ssize_t n)
{
    in[n] = 0;
    const char *end = strstr(in, "\r\n\r\n");
    for (char *c = in; c < end; c++)
        *c = (char) tolower(*c);
    const char *length = strstr(in, "content-length:");
    if (!end || !length || length > end) {
        fprintf(stderr, "bench-origin: a POST without a length in one piece\n");
        exit(1);
    }
    return atoll(length + strlen("content-length:")) - (n - (end + 4 - in));
}

static void serve(int fd, int epoll_fd)
{
    static char in[256 * 1024 + 1];
    char out[16 * sizeof ANSWER];
    size_t n_out = 0;
    ssize_t n = recv(fd, in, sizeof in - 1, MSG_DONTWAIT);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        (void) epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        close(fd);
        return;
    }
    if (matched[fd] == 5)
        return;
    if (to_read[fd] > 0 || (n > 5 && memcmp(in, "POST ", 5) == 0)) {
        to_read[fd] = to_read[fd] > 0 ? to_read[fd] - n : body_left(in, n);
        if (to_read[fd] == 0)
            (void) !write(fd, ANSWER, strlen(ANSWER));
        return;
    }
    if (n > 11 && memcmp(in, "GET /bytes/", 11) == 0) {
        send_bytes(fd, epoll_fd, in);
        return;
    }
    if (n > 11 && memcmp(in, "GET /switch", 11) == 0) {
        matched[fd] = 5;
        (void) !write(fd, SWITCHED, strlen(SWITCHED));
        return;
    }
    if (n > 9 && memcmp(in, "GET /slow", 9) == 0 && slow_tail - slow_head < SLOW_MAX) {
        slow[slow_tail % SLOW_MAX].fd = fd;
        slow[slow_tail++ % SLOW_MAX].at = now_ns() + SLOW_NS;
        return;
    }
    for (ssize_t i = 0; i < n; i++) {
        unsigned char m = matched[fd];
        matched[fd] = in[i] == "\r\n\r\n"[m] ? (unsigned char) (m + 1) : in[i] == '\r';
        if (matched[fd] < 4)
            continue;
        matched[fd] = 0;
        if (n_out + strlen(ANSWER) > sizeof out) {
            (void) !write(fd, out, n_out);
            n_out = 0;
        }
        memcpy(out + n_out, ANSWER, strlen(ANSWER));
        n_out += strlen(ANSWER);
    }
    (void) !write(fd, out, n_out);
}

static int listen_on(unsigned short port)
{
    struct sockaddr_in a = {
            .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    (void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *) &a, sizeof a) < 0 || listen(fd, 4096) < 0) {
        perror("bench-origin");
        exit(1);
    }
    return fd;
}

static int listen_at(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    strncpy(a.sun_path, path, sizeof a.sun_path - 1);
    if (fd < 0 || bind(fd, (struct sockaddr *) &a, sizeof a) < 0 || listen(fd, 4096) < 0) {
        perror("bench-origin");
        exit(1);
    }
    return fd;
}

static void stamp(const char *path)
{
    char text[32];

    int n = snprintf(text, sizeof text, "%lld", now_ns());
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    (void) !write(fd, text, (size_t) n);
    close(fd);
}

int main(int argc, char **argv)
{
    struct rlimit limit;
    struct epoll_event events[256];

    if (argc < 2)
        return 2;
    signal(SIGPIPE, SIG_IGN); /* a proxy may end at any time */
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max < 65536 ? limit.rlim_max : 65536;
    setrlimit(RLIMIT_NOFILE, &limit);
    matched = calloc(limit.rlim_cur, 1);
    to_send = calloc(limit.rlim_cur, sizeof *to_send);
    to_read = calloc(limit.rlim_cur, sizeof *to_read);

    int epoll_fd = epoll_create1(EPOLL_CLOEXEC), local = argc > 3 ? listen_at(argv[3]) : -1;
    int listener = listen_on((unsigned short) atoi(argv[1]));
    epoll_ctl(
            epoll_fd, EPOLL_CTL_ADD, listener, &(struct epoll_event){.events = EPOLLIN, .data.fd = listener});
    if (local >= 0)
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, local, &(struct epoll_event){.events = EPOLLIN, .data.fd = local});
    if (argc > 2 && strcmp(argv[2], "-") != 0)
        stamp(argv[2]);

    for (;;) {
        int n = epoll_wait(epoll_fd, events, 256, answer_slowly());
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd, one = 1;
            if (fd != listener && fd != local) {
                if (to_send[fd] > 0)
                    go_on_sending(fd, epoll_fd);
                else
                    serve(fd, epoll_fd);
                continue;
            }
            fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
            if (fd < 0)
                continue;
            matched[fd] = 0;
            to_send[fd] = to_read[fd] = 0;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* nothing to a unix socket */
            epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd});
        }
    }
}
