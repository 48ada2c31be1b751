/* SPDX-License-Identifier: ISC */

#include "tests/unit/config-fixture.h"

#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder of drop-ins and a file of settings, what they were loaded as, and what they are reloaded as. */
typedef struct Tree {
    char root[32], conf[48], other[48], global[48];
    const char *dirs[3];
    ConfigPaths paths;
    Config *before, *now;
} Tree;

static int tree_setup(void **state)
{
    Tree *t = new0(Tree, 1);

    strcpy(t->root, "/tmp/test-config-XXXXXX");
    assert_non_null(mkdtemp(t->root));
    snprintf(t->conf, sizeof t->conf, "%s/etc", t->root);
    snprintf(t->other, sizeof t->other, "%s/lib", t->root);
    snprintf(t->global, sizeof t->global, "%s/dynapm.json", t->root);
    assert_int_equal(mkdir(t->conf, 0755), 0);
    assert_int_equal(mkdir(t->other, 0755), 0);
    t->dirs[0] = t->conf;
    t->dirs[1] = t->other;
    t->paths = (ConfigPaths){.dirs = t->dirs, .global = t->global};
    *state = t;
    return 0;
}

static int tree_teardown(void **state)
{
    Tree *t = *state;
    char command[64];

    config_unref(t->before);
    config_unref(t->now);
    snprintf(command, sizeof command, "rm -rf %s", t->root);
    assert_int_equal(system(command), 0);
    free(t);
    return 0;
}

static void put(const Tree *t, const char *name, const char *text)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", t->root, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void drop(const Tree *t, const char *name)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", t->root, name);
    assert_int_equal(unlink(path), 0);
}

#define SERVICE(host) "{\"host\": \"" host "\", " BASE ", " EXEC "}"
#define BROKEN "{\"host\": "

static void reload(Tree *t)
{
    Config *now;

    assert_int_equal(config_reload(&t->paths, t->now, &now), 0);
    config_unref(t->before);
    t->before = t->now;
    t->now = now;
}

static ServiceConfig *find(const Config *c, const char *name)
{
    for (size_t i = 0; c && i < c->n_services; i++)
        if (streq(c->services[i]->name, name))
            return c->services[i];
    return NULL;
}

/* Names and hosts, "a=a.test b=b.test,c.test". */
static void assert_services(const Tree *t, const char *expected)
{
    char text[512] = "";
    size_t n = 0;

    for (size_t i = 0; i < t->now->n_services; i++) {
        const ServiceConfig *s = t->now->services[i];
        n += (size_t) snprintf(text + n, sizeof text - n, "%s%s=", i > 0 ? " " : "", s->name);
        for (size_t k = 0; k < s->n_routes; k++)
            n += (size_t) snprintf(text + n, sizeof text - n, "%s%s", k > 0 ? "," : "", s->routes[k].host);
    }
    assert_string_equal(text, expected);
}

static void what_says_the_same_is_the_same(void **state)
{
    Tree *t = *state;

    put(t, "etc/a.json", SERVICE("a.test"));
    put(t, "etc/b.json", SERVICE("b.test"));
    reload(t);
    put(t, "etc/a.json", "{\n  " BASE ", // moved\n" EXEC ", \"host\": \"a.test\"}");
    put(t, "etc/b.json", SERVICE("other.test"));
    reload(t);
    assert_services(t, "a=a.test b=other.test");
    assert_ptr_equal(find(t->before, "a"), find(t->now, "a"));
    assert_ptr_not_equal(find(t->before, "b"), find(t->now, "b"));
}

static void every_word_of_a_definition_that_changes_is_noticed(void **state)
{
    static const struct {
        const char *more;
        bool runs_alike;
    } table[] = {
            {"\"path\": \"/x\"", true},
            {"\"path\": \"/x\", \"stripPath\": true", true},
            {"\"idleTimeout\": \"7s\"", true},
            {"\"startTimeout\": \"7s\"", true},
            {"\"webSocketIdle\": \"7s\"", true},
            {"\"stopTimeout\": \"7s\"", false},
            {"\"cwd\": \"/tmp\"", false},
            {"\"env\": {\"A\": \"b\"}", false},
            {"\"env\": {\"A\": \"c\"}", false},
            {"\"user\": \"daemon\"", false},
            {"\"user\": \"daemon\", \"group\": \"daemon\"", false},
            {"\"memoryMax\": \"1G\"", false},
            {"\"memoryMax\": \"2G\"", false},
            {"\"notify\": true", false},
            {"\"healthCheck\": {\"type\": \"none\"}", false},
            {"\"healthCheck\": {\"type\": \"http\", \"url\": \"/x\"}", false},
            {"\"healthCheck\": {\"type\": \"tcp\", \"timeout\": \"7s\"}", false},
    };
    Tree *t = *state;
    char text[256];

    put(t, "etc/a.json", "{" REST "}");
    reload(t);
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        snprintf(text, sizeof text, "{" REST ", %s}", table[i].more);
        put(t, "etc/a.json", text);
        reload(t);
        assert_problems(t->now, "");
        const ServiceConfig *was = find(t->before, "a"), *is = find(t->now, "a");
        assert_ptr_not_equal(was, is);
        assert_false(service_config_equal(was, is));
        if (i < 5) /* of the others the one before differs as well */
            assert_int_equal(service_config_runs_alike(was, is), table[i].runs_alike);
        else
            assert_false(service_config_runs_alike(was, is));
        reload(t);
        assert_ptr_equal(find(t->before, "a"), find(t->now, "a"));
    }
}

static void a_broken_file_keeps_its_service(void **state)
{
    Tree *t = *state;

    put(t, "etc/a.json", SERVICE("a.test"));
    put(t, "etc/b.json", SERVICE("b.test"));
    reload(t);
    put(t, "etc/a.json", BROKEN);
    for (int i = 0; i < 3; i++) {
        reload(t);
        assert_int_equal(t->now->n_problems, 1);
        assert_services(t, "a=a.test b=b.test");
        assert_ptr_equal(find(t->before, "a"), find(t->now, "a"));
    }
    put(t, "etc/a.json", SERVICE("new.test"));
    reload(t);
    assert_problems(t->now, "");
    assert_services(t, "a=new.test b=b.test");
}

static void a_removed_or_masked_file_is_no_broken_one(void **state)
{
    Tree *t = *state;

    put(t, "etc/a.json", SERVICE("a.test"));
    put(t, "etc/b.json", SERVICE("b.test"));
    put(t, "etc/c.json", SERVICE("c.test"));
    reload(t);
    drop(t, "etc/a.json");
    put(t, "etc/c.json", "");
    reload(t);
    assert_problems(t->now, "");
    assert_services(t, "b=b.test");
}

static void of_a_file_with_several_the_good_ones_change(void **state)
{
    Tree *t = *state;

    put(t, "etc/all.json",
            "{\"services\": {\"a\": {" BASE ", \"exec\": [\"/1\"]}, \"b\": {" BASE ", \"exec\": [\"/1\"]},"
            " \"c\": {" BASE ", \"exec\": [\"/1\"]}}}");
    reload(t);
    assert_services(t, "a=a b=b c=c");
    put(t, "etc/all.json",
            "{\"services\": {\"a\": {" BASE ", \"exec\": [\"/2\"]}, \"b\": {" BASE ", \"exec\": 7}}}");
    reload(t);
    assert_int_equal(t->now->n_problems, 1);
    assert_services(t, "a=a b=b c=c"); /* whether c was to go is for a good file to say */
    assert_string_equal(find(t->now, "a")->exec[0], "/2");
    assert_ptr_equal(find(t->before, "b"), find(t->now, "b"));

    put(t, "etc/all.json", "{\"services\": ");
    reload(t);
    assert_services(t, "a=a b=b c=c");
    assert_string_equal(find(t->now, "a")->exec[0], "/2");
}

static void a_folder_that_cannot_be_read_keeps_its_files_and_hides_those_of_later_ones(void **state)
{
    Tree *t = *state;

    t->paths.check_permissions = true;
    put(t, "etc/a.json", SERVICE("a.test"));
    put(t, "lib/a.json", SERVICE("hidden.test"));
    put(t, "lib/b.json", SERVICE("b.test"));
    reload(t);
    assert_services(t, "a=a.test b=b.test");
    put(t, "lib/b.json", SERVICE("new.test"));
    assert_int_equal(chmod(t->conf, 0777), 0);
    reload(t);
    assert_int_equal(t->now->n_problems, 1);
    assert_services(t, "a=a.test b=new.test");
    assert_int_equal(chmod(t->conf, 0755), 0);
    drop(t, "etc/a.json");
    reload(t);
    assert_problems(t->now, "");
    assert_services(t, "a=hidden.test b=new.test");
}

static void without_any_folder_everything_stays(void **state)
{
    Tree *t = *state;
    char away[64];

    put(t, "etc/a.json", SERVICE("a.test"));
    assert_int_equal(rmdir(t->other), 0);
    reload(t);
    snprintf(away, sizeof away, "%s/away", t->root);
    assert_int_equal(rename(t->conf, away), 0);
    reload(t);
    assert_int_equal(t->now->n_problems, 1);
    assert_services(t, "a=a.test");
}

static void settings_with_a_mistake_stay_as_a_whole(void **state)
{
    Tree *t = *state;

    put(t, "dynapm.json",
            "{\"port\": 8080, \"limits\": {\"maxConnections\": 7, \"maxParkedRequests\": 8},"
            " \"trustedProxies\": [\"10.0.0.0/8\"]}");
    reload(t);
    put(t, "dynapm.json",
            "{\"port\": 9090, \"limits\": {\"maxConnections\": \"many\", \"maxParkedRequests\": 9}}");
    for (int i = 0; i < 2; i++) {
        reload(t);
        assert_int_equal(t->now->n_problems, 1);
        assert_int_equal(t->now->global.max_connections, 7);
        assert_int_equal(t->now->global.max_parked, 8);
        assert_int_equal(t->now->global.n_listen, 1);
        assert_int_equal(socket_address_port(&t->now->global.listen[0]), 8080);
        assert_int_equal(t->now->global.n_trusted_proxies, 1);
    }
    drop(t, "dynapm.json"); /* removed is not broken */
    reload(t);
    assert_problems(t->now, "");
    assert_int_equal(t->now->global.max_connections, 16384);
    assert_int_equal(t->now->global.n_listen, 0);

    t->paths.global_required = true; /* but this is */
    put(t, "dynapm.json", "{\"limits\": {\"maxConnections\": 5}}");
    reload(t);
    drop(t, "dynapm.json");
    reload(t);
    assert_int_equal(t->now->n_problems, 1);
    assert_int_equal(t->now->global.max_connections, 5);
}

static void settings_of_a_whole_configuration_stay_when_it_is_broken(void **state)
{
    Tree *t = *state;

    put(t, "etc/all.json", "{\"port\": 8080, \"services\": {\"a\": {" BASE ", " EXEC "}}}");
    reload(t);
    assert_int_equal(t->now->global.n_listen, 1);
    put(t, "etc/all.json", "{\"port\": ");
    reload(t);
    assert_int_equal(t->now->global.n_listen, 1);
    assert_services(t, "a=a");
    /* A mistake in a service is none in the settings. */
    put(t, "etc/all.json", "{\"port\": 9090, \"services\": {\"a\": {" BASE ", \"exec\": 7}}}");
    reload(t);
    assert_int_equal(t->now->n_problems, 1);
    assert_int_equal(socket_address_port(&t->now->global.listen[0]), 9090);
    assert_services(t, "a=a");
}

static void services_change_hosts_and_names(void **state)
{
    Tree *t = *state;

    put(t, "etc/a.json", SERVICE("a.test"));
    put(t, "etc/b.json", SERVICE("b.test"));
    reload(t);
    put(t, "etc/a.json", SERVICE("b.test"));
    put(t, "etc/b.json", SERVICE("a.test"));
    reload(t);
    assert_problems(t->now, "");
    assert_services(t, "a=b.test b=a.test");
    put(t, "etc/a.json", "{\"name\": \"b\", \"host\": \"b.test\", " BASE ", " EXEC "}");
    put(t, "etc/b.json", "{\"name\": \"a\", \"host\": \"a.test\", " BASE ", " EXEC "}");
    reload(t);
    assert_problems(t->now, "");
    assert_services(t, "b=b.test a=a.test");
}

static void what_stays_gives_way_to_what_is_defined(void **state)
{
    Tree *t = *state;

    put(t, "etc/a.json", SERVICE("a.test"));
    put(t, "etc/b.json", "{\"hosts\": [\"b.test\", \"c.test\"], " BASE ", " EXEC "}");
    reload(t);
    /* Half of an exchange of hosts: b's is broken. */
    put(t, "etc/a.json", SERVICE("b.test"));
    put(t, "etc/b.json", BROKEN);
    for (int i = 0; i < 3; i++) {
        reload(t);
        assert_int_equal(t->now->n_problems, 1);
        assert_services(t, "a=b.test b=c.test");
    }
    assert_ptr_equal(find(t->before, "b"), find(t->now, "b"));
    put(t, "etc/a.json", SERVICE("a.test")); /* what it gave away comes back */
    reload(t);
    assert_services(t, "a=a.test b=b.test,c.test");
    /* A name that is somebody else's now is not kept. */
    put(t, "etc/a.json", "{\"name\": \"b\", \"host\": \"a.test\", " BASE ", " EXEC "}");
    reload(t);
    assert_services(t, "b=a.test");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, tree_setup, tree_teardown)
    const struct CMUnitTest tests[] = {
            T(what_says_the_same_is_the_same),
            T(every_word_of_a_definition_that_changes_is_noticed),
            T(a_broken_file_keeps_its_service),
            T(a_removed_or_masked_file_is_no_broken_one),
            T(of_a_file_with_several_the_good_ones_change),
            T(a_folder_that_cannot_be_read_keeps_its_files_and_hides_those_of_later_ones),
            T(without_any_folder_everything_stays),
            T(settings_with_a_mistake_stay_as_a_whole),
            T(settings_of_a_whole_configuration_stay_when_it_is_broken),
            T(services_change_hosts_and_names),
            T(what_stays_gives_way_to_what_is_defined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
