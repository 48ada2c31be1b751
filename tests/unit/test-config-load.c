/* SPDX-License-Identifier: ISC */

#include "tests/unit/config-fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "util/fd.h"

/* A scratch folder with /etc, /run and /lib in it, gone with the test. */
typedef struct Tree {
    char root[32];
    char dirs[3][48];
    const char *list[4];
    char global[48];
} Tree;

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static int tree_setup(void **state)
{
    static const char *const names[] = {"etc", "run", "lib"};
    Tree *t = new0(Tree, 1);

    strcpy(t->root, "/tmp/test-config-XXXXXX");
    assert_non_null(mkdtemp(t->root));
    for (size_t i = 0; i < ELEMENTSOF(names); i++) {
        snprintf(t->dirs[i], sizeof t->dirs[i], "%s/%s", t->root, names[i]);
        assert_int_equal(mkdir(t->dirs[i], 0755), 0);
        t->list[i] = t->dirs[i];
    }
    snprintf(t->global, sizeof t->global, "%s/dynapm.json", t->root);
    *state = t;
    return 0;
}

static int tree_teardown(void **state)
{
    Tree *t = *state;
    int r = nftw(t->root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(t);
    return r;
}

static void path_of(const Tree *t, const char *name, char buf[static 128])
{
    snprintf(buf, 128, "%s/%s", t->root, name);
}

static void write_file(const Tree *t, const char *name, const char *text)
{
    char path[128];
    path_of(t, name, path);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0644), 0);
}

/* A service that tells by its host where it came from. */
static void write_service(const Tree *t, const char *name, const char *host)
{
    char text[300];
    snprintf(text, sizeof text, "{\"host\": \"%s\", " BASE ", " EXEC "}", host);
    write_file(t, name, text);
}

static Config *load_with(const Tree *t, bool check_permissions)
{
    Config *c;
    ConfigPaths paths = {.dirs = t->list, .global = t->global, .check_permissions = check_permissions};
    assert_int_equal(config_load(&paths, &c), 0);
    return c;
}

static Config *load(const Tree *t)
{
    return load_with(t, false);
}

/* All problems, the scratch folder written as "T". */
static void assert_tree_problems(const Tree *t, const Config *c, const char *expected)
{
    _cleanup_free_ char *lines = problem_lines(c);
    size_t n = strlen(t->root);
    char *to = lines;

    for (const char *from = lines; *from;)
        if (strncmp(from, t->root, n) == 0) {
            *to++ = 'T';
            from += n;
        } else
            *to++ = *from++;
    *to = 0;
    assert_string_equal(lines, expected);
}

/* "name=host …" */
static void assert_services(const Config *c, const char *expected)
{
    char all[500] = "", *p = all;
    for (size_t i = 0; i < c->n_services; i++)
        p += sprintf(p, "%s%s=%s", i ? " " : "", c->services[i]->name, c->services[i]->routes[0].host);
    assert_string_equal(all, expected);
}

static void nothing_at_all_is_no_service_and_no_problem(void **state)
{
    _cleanup_(config_unrefp) Config *c = load(*state);
    assert_problems(c, "");
    assert_int_equal(c->n_services, 0);
}

static void files_are_read_in_the_order_of_their_names(void **state)
{
    const Tree *t = *state;
    write_service(t, "lib/10-c.json", "c");
    write_service(t, "etc/20-b.json", "b");
    write_service(t, "run/00-d.json", "d");
    write_service(t, "etc/a.json", "a");
    _cleanup_(config_unrefp) Config *c = load(t);
    assert_problems(c, "");
    assert_services(c, "00-d=d 10-c=c 20-b=b a=a");
}

static void an_earlier_folder_replaces_a_later_one(void **state)
{
    const Tree *t = *state;
    write_service(t, "lib/a.json", "lib");
    write_service(t, "run/a.json", "run");
    write_service(t, "lib/b.json", "lib-b");
    write_service(t, "run/b.json", "run-b");
    write_service(t, "etc/b.json", "etc-b");
    _cleanup_(config_unrefp) Config *c = load(t);
    assert_problems(c, "");
    assert_services(c, "a=run b=etc-b");
}

static void an_empty_file_or_a_link_to_dev_null_masks(void **state)
{
    const Tree *t = *state;
    char path[128];

    write_service(t, "lib/a.json", "a");
    write_service(t, "lib/b.json", "b");
    write_service(t, "lib/c.json", "c");
    write_file(t, "etc/a.json", "");
    path_of(t, "run/b.json", path);
    assert_int_equal(symlink("/dev/null", path), 0);
    _cleanup_(config_unrefp) Config *c = load(t);
    assert_problems(c, "");
    assert_services(c, "c=c");
}

static void a_file_with_only_blanks_is_not_empty(void **state)
{
    const Tree *t = *state;
    write_file(t, "etc/a.json", "\n");
    _cleanup_(config_unrefp) Config *c = load(t);
    assert_tree_problems(t, c, "T/etc/a.json:2:1: expected an object in braces, got the end of the file");
}

static void a_broken_file_does_not_fall_back_to_a_later_folder(void **state)
{
    const Tree *t = *state;
    write_service(t, "lib/a.json", "a");
    write_file(t, "etc/a.json", "{");
    _cleanup_(config_unrefp) Config *c = load(t);
    assert_tree_problems(t, c, "T/etc/a.json:1:2: expected a name in double quotes, got the end of the file");
    assert_services(c, "");
}

static void only_names_that_end_in_json_count(void **state)
{
    const Tree *t = *state;
    static const char *const ignored[] = {"etc/a.json~", "etc/.a.json", "etc/a.json.bak", "etc/README",
            "etc/.json", "etc/a.JSON", "etc/#a.json#", "etc/json"};
    for (size_t i = 0; i < ELEMENTSOF(ignored); i++)
        write_file(t, ignored[i], "broken");
    write_service(t, "etc/b.json", "b");
    _cleanup_(config_unrefp) Config *c = load(t);
    assert_problems(c, "");
    assert_services(c, "b=b");
}

static void a_name_that_is_no_text_is_a_problem(void **state)
{
    const Tree *t = *state;

    write_service(t,
            "etc/\xff"
            "a.json",
            "a");
    write_service(t, "etc/b.json", "b");
    _cleanup_(config_unrefp) Config *c = load(t);
    assert_services(c, "b=b");
    assert_tree_problems(t, c, "T/etc/?a.json: its name is not UTF-8, so that it is not used");
}

static void a_link_to_a_file_is_followed(void **state)
{
    const Tree *t = *state;
    char path[128];

    write_service(t, "service.txt", "a");
    path_of(t, "etc/a.json", path);
    assert_int_equal(symlink("../service.txt", path), 0);
    _cleanup_(config_unrefp) Config *c = load(t);
    assert_problems(c, "");
    assert_services(c, "a=a");
}

static void what_cannot_be_read_is_a_problem_and_the_rest_is_served(void **state)
{
    const Tree *t = *state;
    char path[128];

    path_of(t, "etc/dangling.json", path);
    assert_int_equal(symlink("nowhere", path), 0);
    path_of(t, "etc/fifo.json", path);
    assert_int_equal(mkfifo(path, 0644), 0); /* opening it would wait for a writer */
    path_of(t, "etc/folder.json", path);
    assert_int_equal(mkdir(path, 0755), 0);
    path_of(t, "etc/loop.json", path);
    assert_int_equal(symlink("loop.json", path), 0);
    write_service(t, "etc/ok.json", "ok");
    _cleanup_(config_unrefp) Config *c = load(t);
    assert_tree_problems(t, c,
            "T/etc/dangling.json: cannot be read: No such file or directory\n"
            "T/etc/fifo.json: expected a regular file\n"
            "T/etc/folder.json: expected a regular file\n"
            "T/etc/loop.json: cannot be read: Too many levels of symbolic links");
    assert_services(c, "ok=ok");
}

static void a_file_over_one_mebibyte_is_refused(void **state)
{
    const Tree *t = *state;
    char path[128];

    write_service(t, "etc/a.json", "a");
    write_service(t, "etc/b.json", "b");
    for (const char *const *name = (const char *const[]){"etc/a.json", "etc/b.json", NULL}; *name; name++) {
        path_of(t, *name, path);
        FILE *f = fopen(path, "ae");
        for (long size = ftell(f), i = size; i < 1024 * 1024 + streq(*name, "etc/b.json"); i++)
            fputc(' ', f);
        fclose(f);
    }
    _cleanup_(config_unrefp) Config *c = load(t);
    assert_tree_problems(t, c, "T/etc/b.json: expected at most 1 MiB, got more");
    assert_services(c, "a=a");
}

static void what_others_may_write_is_refused_where_that_matters(void **state)
{
    const Tree *t = *state;
    static const struct {
        const char *name;
        mode_t mode;
    } files[] = {{"etc/a.json", 0600}, {"etc/b.json", 0660}, {"etc/c.json", 0646}, {"etc/d.json", 0444}};
    char path[128];

    for (size_t i = 0; i < ELEMENTSOF(files); i++) {
        write_service(t, files[i].name, (char[]){files[i].name[4], 0});
        path_of(t, files[i].name, path);
        assert_int_equal(chmod(path, files[i].mode), 0);
    }
    write_service(t, "run/e.json", "e");
    assert_int_equal(chmod(t->dirs[1], 0777), 0);
    write_file(t, "dynapm.json", "{\"port\": 80}");
    assert_int_equal(chmod(t->global, 0666), 0);

    _cleanup_(config_unrefp) Config *c = load_with(t, true);
#define REFUSED(mode)                                                                                        \
    ": others than its owner may write to it (mode " mode "), so that it is not used; chmod go-w would help"
    assert_tree_problems(t, c,
            "T/dynapm.json" REFUSED("0666") "\nT/run" REFUSED("0777") "\nT/etc/b.json" REFUSED(
                    "0660") "\nT/etc/c.json" REFUSED("0646"));
    assert_services(c, "a=a d=d");
    assert_int_equal(c->global.n_listen, 0);

    _cleanup_(config_unrefp) Config *relaxed = load_with(t, false);
    assert_problems(relaxed, "");
    assert_services(relaxed, "a=a b=b c=c d=d e=e");
}

static void a_folder_that_is_none_is_a_problem_and_a_missing_one_is_not(void **state)
{
    Tree *t = *state;
    write_service(t, "lib/a.json", "a");
    assert_int_equal(rmdir(t->dirs[0]), 0);
    assert_int_equal(rmdir(t->dirs[1]), 0);
    write_file(t, "run", "x");
    _cleanup_(config_unrefp) Config *c = load(t);
    assert_tree_problems(t, c, "T/run: cannot be read: Not a directory");
    assert_services(c, "a=a");

    t->list[1] = NULL; /* only the one that is missing */
    _cleanup_(config_unrefp) Config *none = load(t);
    assert_tree_problems(t, none, "T/etc: cannot be read: No such file or directory");
}

static void the_first_file_keeps_what_two_claim(void **state)
{
    const Tree *t = *state;
    write_service(t, "etc/b.json", "x.test");
    write_service(t, "lib/a.json", "x.test");
    write_file(t, "run/c.json", "{\"name\": \"a\", \"host\": \"y\", " BASE ", " EXEC "}");
    _cleanup_(config_unrefp) Config *c = load(t);
    assert_tree_problems(t, c,
            "T/etc/b.json:1:10: host: x.test is already taken by service \"a\" in T/lib/a.json\n"
            "T/run/c.json:1:10: name: the name \"a\" is already taken in T/lib/a.json");
    assert_services(c, "a=x.test");
}

static void global_settings_and_drop_ins_come_together(void **state)
{
    const Tree *t = *state;
    write_file(t, "dynapm.json",
            "// settings\n{\"limits\": {\"maxConnections\": 7}, \"logging\": {\"enableRequestLog\": true}}");
    write_service(t, "etc/a.json", "a");
    write_file(t, "etc/w.json",
            "{\"port\": 3001, \"services\": {\"w.test\": {" BASE ", \"commands\": {\"start\": \"x\"}}}}");
    _cleanup_(config_unrefp) Config *c = load(t);
    char cwd[128];

    assert_problems(c, "");
    assert_services(c, "a=a w.test=w.test");
    assert_int_equal(c->global.max_connections, 7);
    assert_true(c->global.request_log);
    assert_int_equal(c->global.n_listen, 1);
    path_of(t, "etc", cwd);
    assert_string_equal(c->services[1]->cwd, cwd);
}

static void references_keep_a_configuration(void **state)
{
    Config *c = load(*state);
    assert_ptr_equal(config_ref(c), c);
    assert_null(config_unref(c));
    assert_int_equal(c->n_ref, 1);
    assert_null(config_unref(c));
    assert_null(config_unref(NULL));
    assert_null(config_ref(NULL));
}

static void the_default_places_are_those_of_systemd_and_xdg(void **state)
{
    const char *const *dirs = config_default_dirs(false);
    assert_string_equal(dirs[0], "/etc/dynapm.d");
    assert_string_equal(dirs[1], "/run/dynapm.d");
    assert_string_equal(dirs[2], "/usr/local/lib/dynapm.d");
    assert_string_equal(dirs[3], "/usr/lib/dynapm.d");
    assert_null(dirs[4]);
    assert_string_equal(config_default_global(false), "/etc/dynapm.json");

    setenv("HOME", "/home/x", 1);
    setenv("XDG_CONFIG_HOME", "/cfg", 1);
    assert_string_equal(config_default_dirs(true)[0], "/cfg/dynapm.d");
    assert_null(config_default_dirs(true)[1]);
    assert_string_equal(config_default_global(true), "/cfg/dynapm.json");
    setenv("XDG_CONFIG_HOME", "relative", 1); /* to be ignored, says the specification */
    assert_string_equal(config_default_dirs(true)[0], "/home/x/.config/dynapm.d");
    unsetenv("XDG_CONFIG_HOME");
    assert_string_equal(config_default_global(true), "/home/x/.config/dynapm.json");
    unsetenv("HOME");
    assert_null(config_default_dirs(true)[0]);
    assert_null(config_default_global(true));
}

/* ── many services ── */

static void write_many(const Tree *t, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char name[32], host[32];
        snprintf(name, sizeof name, "etc/s%05u.json", i);
        snprintf(host, sizeof host, "s%u.example.com", i);
        write_service(t, name, host);
    }
}

static void ten_thousand_files_are_ten_thousand_services(void **state)
{
    const Tree *t = *state;
    write_many(t, 10000);
    _cleanup_(config_unrefp) Config *c = load(t);
    assert_problems(c, "");
    assert_int_equal(c->n_services, 10000);
    assert_string_equal(c->services[9999]->routes[0].host, "s9999.example.com");
}

/* CPU time to parse n services of several routes each, every tenth of which collides with the one before. */
static double parse_seconds(unsigned n)
{
    struct timespec before, after;
    _cleanup_(config_unrefp) Config *c = config_new();

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    for (unsigned i = 0; i < n; i++) {
        char file[32], text[300];
        unsigned port = i % 10 == 9 ? i - 1 : i;
        snprintf(file, sizeof file, "/d/s%u.json", i);
        snprintf(text, sizeof text,
                "{\"hosts\": [\"a%u.test\", \"*.b%u.test\"], \"port\": \"127.%u.%u.%u:80\", " BASE ", " EXEC
                "}",
                i, i, port >> 16, (port >> 8) & 255, port & 255);
        assert_int_equal(config_parse(c, file, text, strlen(text)), 0);
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    assert_int_equal(c->n_services + c->n_problems, n);
    assert_int_equal(c->n_problems, n / 10);
    return (double) (after.tv_sec - before.tv_sec) + (double) (after.tv_nsec - before.tv_nsec) / 1e9;
}

static void ten_times_the_services_take_no_hundred_times_the_work(void **state)
{
    double few = parse_seconds(2000), many = parse_seconds(20000);
    print_message("2,000 services: %.0f ms, 20,000: %.0f ms of CPU\n", few * 1e3, many * 1e3);
    assert_true(many <
                40 * few); /* ten times is what it should be; comparing each with each makes it a hundred */
}

static void a_whole_configuration_of_thousands_is_one_file(void **state)
{
    const Tree *t = *state;
    enum { COUNT = 8000 };
    char path[128];

    path_of(t, "etc/all.json", path);
    FILE *f = fopen(path, "we");
    fputs("{\"services\":{", f);
    for (int i = 0; i < COUNT; i++)
        fprintf(f,
                "%s\"s%d.test\":{\"name\":\"same\",\"base\":\"http://"
                "127.0.0.1:%d\",\"commands\":{\"start\":\"x\"}}",
                i ? "," : "", i, i + 1);
    fputs("}}", f);
    fclose(f);
    _cleanup_(config_unrefp) Config *c = load(t);
    assert_problems(c, "");
    assert_int_equal(c->n_services, COUNT);
}

#define WITH_TREE(test) cmocka_unit_test_setup_teardown(test, tree_setup, tree_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            WITH_TREE(nothing_at_all_is_no_service_and_no_problem),
            WITH_TREE(files_are_read_in_the_order_of_their_names),
            WITH_TREE(an_earlier_folder_replaces_a_later_one),
            WITH_TREE(an_empty_file_or_a_link_to_dev_null_masks),
            WITH_TREE(a_file_with_only_blanks_is_not_empty),
            WITH_TREE(a_broken_file_does_not_fall_back_to_a_later_folder),
            WITH_TREE(only_names_that_end_in_json_count),
            WITH_TREE(a_name_that_is_no_text_is_a_problem),
            WITH_TREE(a_link_to_a_file_is_followed),
            WITH_TREE(what_cannot_be_read_is_a_problem_and_the_rest_is_served),
            WITH_TREE(a_file_over_one_mebibyte_is_refused),
            WITH_TREE(what_others_may_write_is_refused_where_that_matters),
            WITH_TREE(a_folder_that_is_none_is_a_problem_and_a_missing_one_is_not),
            WITH_TREE(the_first_file_keeps_what_two_claim),
            WITH_TREE(global_settings_and_drop_ins_come_together),
            WITH_TREE(references_keep_a_configuration),
            WITH_TREE(ten_thousand_files_are_ten_thousand_services),
            cmocka_unit_test(ten_times_the_services_take_no_hundred_times_the_work),
            WITH_TREE(a_whole_configuration_of_thousands_is_one_file),
            cmocka_unit_test(the_default_places_are_those_of_systemd_and_xdg),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
