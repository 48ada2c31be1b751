/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/routes.h"
#include "ipc/table.h"
#include "util/fd.h"

static SocketAddress address(const char *s)
{
    SocketAddress a;
    assert_int_equal(socket_address_parse(s, &a), 0);
    return a;
}

static int target(RouteBuilder *b, const char *s)
{
    SocketAddress a = address(s);
    return route_builder_add_target(b, &a, 1);
}

static RouteImage *finish(RouteBuilder *b)
{
    RouteImage *i = NULL;
    _cleanup_close_ int fd = route_builder_finish(b);
    assert_true(fd >= 0);
    assert_int_equal(route_image_map(fd, &i), 0);
    return i;
}

/* The name of the service that a request goes to; "-" for no such path, "" for no such host. */
static const char *route_to(const RouteImage *i, const char *host, const char *path)
{
    bool known;
    const RouteEntry *e = route_image_match_host(i, host, strlen(host), path, strlen(path), &known);
    if (!e)
        return known ? "-" : "";
    assert_true(known);
    return route_image_string(i, route_image_service(i, e->service)->name);
}

/* A builder with one service a route, named by the route's number: "0", "1", … */
static RouteBuilder *build(const char *const (*routes)[2], size_t n)
{
    RouteBuilder *b = route_builder_new();
    assert_non_null(b);
    for (size_t k = 0; k < n; k++) {
        char name[16];
        snprintf(name, sizeof name, "%zu", k);
        int s = route_builder_add_service(b, name, (uint32_t) k, false);
        assert_true(route_builder_add_host_route(
                            b, routes[k][0], routes[k][1], false, s, target(b, "127.0.0.1:1000")) >= 0);
    }
    return b;
}

static void an_exact_host_beats_a_wildcard_and_a_longer_wildcard_a_shorter(void **state)
{
    static const char *const routes[][2] = {
            {"*.example.com", "/"},
            {"blog.example.com", "/"},
            {"*.eu.example.com", "/"},
            {"example.com", "/"},
    };
    _cleanup_(route_builder_freep) RouteBuilder *b = build(routes, ELEMENTSOF(routes));
    _cleanup_(route_image_unrefp) RouteImage *i = finish(b);
    static const char *const table[][2] = {
            {"blog.example.com", "1"},
            {"BLOG.Example.COM", "1"},
            {"blog.example.com.", "1"},
            {"shop.example.com", "0"},
            {"a.b.c.example.com", "0"},
            {"a.eu.example.com", "2"},
            {"a.b.eu.example.com", "2"},
            {"eu.example.com", "0"},
            {"example.com", "3"},
            {"example.com.", "3"},
            {"xexample.com", ""},
            {"com", ""},
            {"", ""},
            {".", ""},
            {"..", ""},
            {".example.com", ""},
            {".blog.example.com", ""},
            {"a..example.com", ""},
            {"blog.example.com..", ""},
            {"example.org", ""},
    };
    for (size_t k = 0; k < ELEMENTSOF(table); k++)
        assert_string_equal(route_to(i, table[k][0], "/x"), table[k][1]);
}

static void the_longest_path_wins_on_a_slash_boundary(void **state)
{
    static const char *const routes[][2] = {
            {"h", "/api"},
            {"h", "/"},
            {"h", "/api/v2"},
            {"h", "/apiary"},
            {"only.h", "/x"},
            {"*.h", "/y"},
    };
    _cleanup_(route_builder_freep) RouteBuilder *b = build(routes, ELEMENTSOF(routes));
    _cleanup_(route_image_unrefp) RouteImage *i = finish(b);
    static const char *const table[][3] = {
            {"h", "/", "1"},
            {"h", "*", "1"},
            {"h", "", "1"},
            {"h", "/api", "0"},
            {"h", "/api/", "0"},
            {"h", "/api?x=/api/v2", "0"},
            {"h", "/api/v2", "2"},
            {"h", "/api/v2/users", "2"},
            {"h", "/api/v22", "0"},
            {"h", "/apiary", "3"},
            {"h", "/apiar", "1"},
            {"h", "/API", "1"},
            {"h", "/?/api", "1"},
            {"h", "//api", "1"},
            {"only.h", "/x?", "4"},
            {"only.h", "/", "-"},
            {"only.h", "/xx", "-"},
            {"only.h", "/y", "5"}, /* the exact host has no such path, the wildcard has */
            {"other.h", "/x", "-"},
    };
    for (size_t k = 0; k < ELEMENTSOF(table); k++)
        assert_string_equal(route_to(i, table[k][0], table[k][1]), table[k][2]);
}

/* One host with so many paths that they are found by the index instead of one by one: both must agree. */
static void many_paths_on_one_host_are_matched_like_few(void **state)
{
    _cleanup_(route_builder_freep) RouteBuilder *b = route_builder_new();
    SocketAddress l = address("127.0.0.1:8081");
    char name[32], path[64];

    for (int k = 0; k < 500; k++) {
        snprintf(name, sizeof name, "s%d", k);
        snprintf(path, sizeof path, "/team-%d%s", k / 2, k % 2 ? "/api" : "");
        int s = route_builder_add_service(b, name, (uint32_t) k, false), t = target(b, "127.0.0.1:1");
        assert_true(route_builder_add_host_route(b, "many.test", path, true, s, t) >= 0);
        assert_true(route_builder_add_host_route(b, "*.many.test", path, true, s, t) >= 0);
        assert_int_equal(route_builder_add_port_route(b, &l, path, true, s, t), 0);
    }
    int s = route_builder_add_service(b, "rest", 500, false);
    assert_true(route_builder_add_host_route(b, "*.many.test", "/", false, s, target(b, "127.0.0.1:1")) >= 0);
    _cleanup_(route_image_unrefp) RouteImage *i = finish(b);

    for (int k = 0; k < 500; k++) {
        static const char *const tails[] = {"", "/", "?q", "/deeper/still?x", "/x#y"};
        snprintf(name, sizeof name, "s%d", k);
        for (size_t j = 0; j < ELEMENTSOF(tails); j++) {
            snprintf(path, sizeof path, "/team-%d%s%s", k / 2, k % 2 ? "/api" : "", tails[j]);
            assert_string_equal(route_to(i, "many.test", path), name);
            assert_string_equal(route_to(i, "a.many.test", path), name);
            const RouteEntry *e = route_image_match_listener(i, 0, path, strlen(path));
            assert_non_null(e);
            assert_string_equal(route_image_string(i, route_image_service(i, e->service)->name), name);
            assert_true(e->strip);
        }
    }
    static const char *const none[] = {
            "/", "/team-", "/team-250", "/team-1x", "/Team-1", "", "*", "/?/team-1"};
    for (size_t j = 0; j < ELEMENTSOF(none); j++) {
        assert_string_equal(route_to(i, "many.test", none[j]), "-");
        assert_string_equal(route_to(i, "a.many.test", none[j]), "rest");
        assert_null(route_image_match_listener(i, 0, none[j], strlen(none[j])));
    }
    assert_string_equal(route_to(i, "many.test", "/team-3/apis"), "s6");
}

static void a_host_of_any_length_is_looked_up_in_bounds(void **state)
{
    static const char *const routes[][2] = {{"*.d", "/"}};
    _cleanup_(route_builder_freep) RouteBuilder *b = build(routes, ELEMENTSOF(routes));
    _cleanup_(route_image_unrefp) RouteImage *i = finish(b);
    char host[70000];

    for (size_t k = 0; k < sizeof host; k++)
        host[k] = k % 2 ? '.' : 'd';
    bool known;
    assert_non_null(route_image_match_host(i, host, 3, "/", 1, &known));
    assert_non_null(route_image_match_host(i, host, 255, "/", 1, &known));
    assert_non_null(route_image_match_host(i, host, 256, "/", 1, &known)); /* with its final dot */
    assert_null(route_image_match_host(i, host, 257, "/", 1, &known));
    assert_false(known);
    assert_null(route_image_match_host(i, host, sizeof host - 1, "/", 1, &known));
    assert_false(known);
    memset(host, '.', sizeof host);
    assert_null(route_image_match_host(i, host, 255, "/", 1, &known));
    assert_null(route_image_match_host(i, host, sizeof host, "/", 1, &known));
}

static void of_two_equal_routes_the_first_stays(void **state)
{
    static const char *const routes[][2] = {
            {"a.test", "/x"}, {"a.test", "/x"}, {"a.test", "/"}, {"a.test", "/x"}, {"a.test", "/"}};
    _cleanup_(route_builder_freep) RouteBuilder *b = build(routes, ELEMENTSOF(routes));
    _cleanup_(route_image_unrefp) RouteImage *i = finish(b);
    assert_string_equal(route_to(i, "a.test", "/x"), "0");
    assert_string_equal(route_to(i, "a.test", "/y"), "2");
}

static void listeners_have_routes_of_their_own_or_are_main(void **state)
{
    _cleanup_(route_builder_freep) RouteBuilder *b = route_builder_new();
    SocketAddress m = address("127.0.0.1:3000"), p = address("8080"), u = address("unix:/run/x.sock");

    int s0 = route_builder_add_service(b, "a", 17, false), s1 = route_builder_add_service(b, "b", 3, true);
    int t = target(b, "[::1]:9");
    route_builder_set_web_socket_idle(b, s0, 5);
    assert_int_equal(route_builder_add_main_listener(b, &m), 0);
    assert_int_equal(route_builder_add_port_route(b, &p, "/b", true, s1, t), 1);
    assert_int_equal(route_builder_add_port_route(b, &p, "/", false, s0, t), 1);
    assert_int_equal(route_builder_add_port_route(b, &u, "/only", false, s0, t), 2);
    route_builder_set_tcp(b, 2, 2);
    route_builder_set_accept_proxy(b, 1);
    assert_int_equal(route_builder_add_port_route(b, &m, "/", false, s0, t), -EADDRINUSE);
    assert_int_equal(route_builder_add_main_listener(b, &p), -EADDRINUSE);
    assert_int_equal(route_builder_add_main_listener(b, &m), 0);
    _cleanup_(route_image_unrefp) RouteImage *i = finish(b);

    assert_int_equal(route_image_n_listeners(i), 3);
    assert_int_equal(route_image_listener(i, 0)->main, 1);
    assert_int_equal(route_image_listener(i, 1)->main, 0);
    assert_int_equal(route_image_listener(i, 1)->tcp, 0);
    assert_int_equal(route_image_listener(i, 1)->accept_proxy, 1);
    assert_int_equal(route_image_listener(i, 2)->accept_proxy, 0);
    assert_int_equal(route_image_listener(i, 2)->tcp, 1);
    assert_int_equal(route_image_listener(i, 2)->send_proxy, 2);
    assert_true(socket_address_equal(&route_image_listener(i, 1)->address, &p));
    assert_true(socket_address_equal(&route_image_listener(i, 2)->address, &u));
    assert_null(route_image_match_listener(i, 0, "/", 1));
    const RouteEntry *e = route_image_match_listener(i, 1, "/b/c", 4);
    assert_int_equal(route_image_service(i, e->service)->slot, 3);
    assert_int_equal(route_image_service(i, e->service)->proxy_only, 1);
    assert_int_equal(route_image_service(i, e->service)->web_socket_idle, USEC_INFINITY);
    assert_int_equal(e->strip, 1);
    assert_int_equal(route_image_target(i, e->target)->n_addresses, 1);
    assert_int_equal(socket_address_port(&route_image_target(i, e->target)->addresses[0]), 9);
    e = route_image_match_listener(i, 1, "/bb", 3);
    assert_int_equal(route_image_service(i, e->service)->slot, 17);
    assert_int_equal(route_image_service(i, e->service)->web_socket_idle, 5);
    assert_null(route_image_match_listener(i, 2, "/", 1));
    assert_non_null(route_image_match_listener(i, 2, "/only", 5));
}

static void settings_and_trusted_networks_arrive(void **state)
{
    _cleanup_(route_builder_freep) RouteBuilder *b = route_builder_new();
    struct in6_addr v4, v6, probe;

    inet_pton(AF_INET6, "::ffff:10.0.0.0", &v4);
    inet_pton(AF_INET6, "2001:db8:8000::", &v6);
    route_builder_set_settings(
            b, &(RouteSettings){.max_parked = 42, .keep_alive_timeout = 75 * USEC_PER_SEC});
    route_builder_add_network(b, v4.s6_addr, 96 + 9);
    route_builder_add_network(b, v6.s6_addr, 33);
    _cleanup_(route_image_unrefp) RouteImage *i = finish(b);
    assert_int_equal(route_image_settings(i)->max_parked, 42);
    assert_int_equal(route_image_settings(i)->keep_alive_timeout, 75 * USEC_PER_SEC);
    static const struct {
        const char *ip;
        bool trusted;
    } table[] = {
            {"::ffff:10.0.0.1", true},
            {"::ffff:10.127.255.255", true},
            {"::ffff:10.128.0.0", false},
            {"::ffff:11.0.0.1", false},
            {"::10.0.0.1", false},
            {"2001:db8:8000::1", true},
            {"2001:db8:ffff::1", true},
            {"2001:db8:7fff::1", false},
    };
    for (size_t k = 0; k < ELEMENTSOF(table); k++) {
        inet_pton(AF_INET6, table[k].ip, &probe);
        assert_int_equal(route_image_trusts(i, probe.s6_addr), table[k].trusted);
    }

    /* /0 and /128 */
    _cleanup_(route_builder_freep) RouteBuilder *c = route_builder_new();
    route_builder_add_network(c, v6.s6_addr, 128);
    _cleanup_(route_image_unrefp) RouteImage *one = finish(c);
    assert_true(route_image_trusts(one, v6.s6_addr));
    assert_false(route_image_trusts(one, v4.s6_addr));
    route_builder_add_network(c, v6.s6_addr, 0);
    _cleanup_(route_image_unrefp) RouteImage *all = finish(c);
    assert_true(route_image_trusts(all, v4.s6_addr));
}

static void ten_thousand_services_are_all_found(void **state)
{
    _cleanup_(route_builder_freep) RouteBuilder *b = route_builder_new();
    char host[64], name[32];

    usec_t begin = now_monotonic();
    for (int k = 0; k < 10000; k++) {
        snprintf(name, sizeof name, "service-%d", k);
        snprintf(host, sizeof host, "%sservice-%d.example.com", k % 10 == 0 ? "*." : "", k);
        int s = route_builder_add_service(b, name, (uint32_t) k, false), t = target(b, "127.0.0.1:1");
        assert_true(route_builder_add_host_route(b, host, "/", false, s, t) >= 0);
        SocketAddress l = address("127.0.0.1:1");
        l.in.sin_port = htons((uint16_t) (k + 1));
        assert_int_equal(route_builder_add_port_route(b, &l, "/", false, s, t), k);
    }
    _cleanup_(route_image_unrefp) RouteImage *i = finish(b);
    usec_t built = now_monotonic() - begin;

    begin = now_monotonic();
    for (int k = 0; k < 10000; k++) {
        snprintf(name, sizeof name, "service-%d", k);
        snprintf(host, sizeof host, "%sservice-%d.example.com", k % 10 == 0 ? "x." : "", k);
        assert_string_equal(route_to(i, host, "/some/path?query"), name);
    }
    print_message("built in %llu us, 10,000 look-ups in %llu us\n", (unsigned long long) built,
            (unsigned long long) (now_monotonic() - begin));
    assert_int_equal(route_image_n_services(i), 10000);
    assert_int_equal(route_image_n_listeners(i), 10000);
    assert_string_equal(route_to(i, "service-0.example.com", "/"), "");
}

static void an_empty_image_matches_nothing(void **state)
{
    _cleanup_(route_builder_freep) RouteBuilder *b = route_builder_new();
    _cleanup_(route_image_unrefp) RouteImage *i = finish(b);
    assert_string_equal(route_to(i, "a.b", "/"), "");
    assert_int_equal(route_image_n_services(i) + route_image_n_listeners(i) + route_image_n_targets(i), 0);
}

static void an_image_cannot_be_changed_any_more(void **state)
{
    _cleanup_(route_builder_freep) RouteBuilder *b = route_builder_new();
    _cleanup_close_ int fd = route_builder_finish(b);
    struct stat st;

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(pwrite(fd, "x", 1, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(fd, st.st_size + 1), -1);
    assert_int_equal(errno, EPERM);
    assert_ptr_equal(mmap(NULL, (size_t) st.st_size, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
}

#define NOWHERE SIZE_MAX

/* Copies an image with `change` at `at`, sealed with `seals`. */
static int copy_image(int fd, size_t len, size_t at, uint32_t change, int seals)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    len = MIN(len, (size_t) st.st_size);
    char *buf = malloc(len);
    assert_int_equal(pread(fd, buf, len, 0), len);
    if (at != NOWHERE && at + sizeof change <= len)
        memcpy(buf + at, &change, sizeof change);
    int copy = memfd_create("copy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(pwrite(copy, buf, len, 0), len);
    free(buf);
    assert_int_equal(fcntl(copy, F_ADD_SEALS, seals), 0);
    return copy;
}

static void a_foreign_or_broken_image_is_refused(void **state)
{
    static const char *const routes[][2] = {{"a.test", "/x"}, {"*.test", "/"}};
    _cleanup_(route_builder_freep) RouteBuilder *b = build(routes, ELEMENTSOF(routes));
    _cleanup_close_ int fd = route_builder_finish(b);
    const int all = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    RouteImage *i = NULL;
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    size_t size = (size_t) st.st_size;
    _cleanup_close_ int same = copy_image(fd, size, NOWHERE, 0, all);
    assert_int_equal(route_image_map(same, &i), 0);
    i = route_image_unref(i);

    static const int missing[] = {F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE};
    for (size_t k = 0; k < ELEMENTSOF(missing); k++) {
        _cleanup_close_ int copy = copy_image(fd, size, NOWHERE, 0, all & ~missing[k]);
        assert_int_equal(route_image_map(copy, &i), -EINVAL);
    }
    for (size_t len = 0; len < size; len += 7) {
        _cleanup_close_ int copy = copy_image(fd, len, NOWHERE, 0, all);
        assert_int_equal(route_image_map(copy, &i), -EINVAL);
    }
    _cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(route_image_map(null, &i), -EINVAL);
    assert_null(i);

    /* Any word of it turned into nonsense: refused, or what can be read stays inside it. */
    static const uint32_t nonsense[] = {0, 1, 2, 0x7fffffff, 0xffffffff, 0x1000};
    size_t n_refused = 0;
    for (size_t at = 0; at + 4 <= size; at += 4)
        for (size_t k = 0; k < ELEMENTSOF(nonsense); k++) {
            _cleanup_close_ int copy = copy_image(fd, size, at, nonsense[k], all);
            int r = route_image_map(copy, &i);
            if (r < 0) {
                assert_int_equal(r, -EINVAL);
                n_refused++;
                continue;
            }
            (void) route_to(i, "a.test", "/x");
            (void) route_to(i, "b.test", "/x/y");
            for (uint32_t n = 0; n < route_image_n_services(i); n++)
                (void) strlen(route_image_string(i, route_image_service(i, n)->name));
            i = route_image_unref(i);
        }
    assert_true(n_refused > 100);
}

static void no_byte_of_an_address_beyond_its_length_gets_into_an_image(void **state)
{
    _cleanup_(route_builder_freep) RouteBuilder *b = route_builder_new();
    SocketAddress a;

    memset(&a, 0x5a, sizeof a);
    SocketAddress clean = address("127.0.0.1:80");
    memcpy(&a, &clean, sizeof clean.in);
    a.len = clean.len;
    assert_int_equal(route_builder_add_target(b, &a, 1), 0);
    assert_int_equal(route_builder_add_main_listener(b, &a), 0);
    _cleanup_close_ int fd = route_builder_finish(b);
    char buf[8192];
    ssize_t n = pread(fd, buf, sizeof buf, 0);
    assert_true(n > 0);
    assert_null(memmem(buf, (size_t) n, "\x5a\x5a\x5a\x5a", 4));
}

static void a_path_or_host_that_cannot_be_matched_is_refused(void **state)
{
    _cleanup_(route_builder_freep) RouteBuilder *b = route_builder_new();
    int s = route_builder_add_service(b, "a", 0, false), t = target(b, "80");
    SocketAddress l = address("81");
    char host[300];

    memset(host, 'x', sizeof host);
    host[256] = 0;
    assert_int_equal(route_builder_add_host_route(b, host, "/", false, s, t), -EINVAL);
    assert_int_equal(route_builder_add_host_route(b, "", "/", false, s, t), -EINVAL);
    static const char *const bad[] = {"", "x", "/x/", "/x?y", "/x#y"};
    for (size_t k = 0; k < ELEMENTSOF(bad); k++) {
        assert_int_equal(route_builder_add_host_route(b, "h", bad[k], false, s, t), -EINVAL);
        assert_int_equal(route_builder_add_port_route(b, &l, bad[k], false, s, t), -EINVAL);
    }
    _cleanup_(route_image_unrefp) RouteImage *i = finish(b);
    assert_int_equal(route_image_n_listeners(i), 0);
    assert_string_equal(route_to(i, "h", "/"), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(an_exact_host_beats_a_wildcard_and_a_longer_wildcard_a_shorter),
            cmocka_unit_test(the_longest_path_wins_on_a_slash_boundary),
            cmocka_unit_test(many_paths_on_one_host_are_matched_like_few),
            cmocka_unit_test(a_host_of_any_length_is_looked_up_in_bounds),
            cmocka_unit_test(of_two_equal_routes_the_first_stays),
            cmocka_unit_test(listeners_have_routes_of_their_own_or_are_main),
            cmocka_unit_test(settings_and_trusted_networks_arrive),
            cmocka_unit_test(ten_thousand_services_are_all_found),
            cmocka_unit_test(an_empty_image_matches_nothing),
            cmocka_unit_test(an_image_cannot_be_changed_any_more),
            cmocka_unit_test(a_foreign_or_broken_image_is_refused),
            cmocka_unit_test(no_byte_of_an_address_beyond_its_length_gets_into_an_image),
            cmocka_unit_test(a_path_or_host_that_cannot_be_matched_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
