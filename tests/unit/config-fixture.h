/* SPDX-License-Identifier: ISC */
#pragma once

/* Texts in, a Config or problem lines out. */

#include "tests/unit/test.h"

#include <stdio.h>

#include "config/config.h"

#define BASE "\"base\": \"http://127.0.0.1:3001\""
#define EXEC "\"exec\": [\"/bin/app\"]"
#define HOST "\"host\": \"a.test\""
/* A service that only needs the braces and what is to be tried. */
#define REST HOST ", " BASE ", " EXEC

/* All problems as people see them, one a line. The caller frees it. */
static inline char *problem_lines(const Config *c)
{
    char *all = strdup("");
    for (size_t i = 0; i < c->n_problems; i++) {
        _cleanup_free_ char *line = config_problem_format(&c->problems[i]), *before = all;
        assert_non_null(line);
        assert_true(asprintf(&all, "%s%s%s", before, *before ? "\n" : "", line) >= 0);
    }
    return all;
}

static inline void assert_problems(const Config *c, const char *expected)
{
    _cleanup_free_ char *got = problem_lines(c);
    assert_string_equal(got, expected);
}

static inline void add_text(Config *c, const char *file, const char *text)
{
    /* Exactly as many bytes as there are, so that reading past them shows under valgrind. */
    size_t n = strlen(text);
    _cleanup_free_ char *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, text, n);
    assert_int_equal(config_parse(c, file, copy, n), 0);
}

/* Parses one text as the file t.json. */
static inline Config *parse(const char *text)
{
    Config *c = config_new();
    assert_non_null(c);
    add_text(c, "t.json", text);
    return c;
}

/* The one service of a text that is right. */
static inline const ServiceConfig *only_service(const Config *c)
{
    assert_problems(c, "");
    assert_int_equal(c->n_services, 1);
    return c->services[0];
}

typedef struct Refusal {
    const char *text;
    const char *problems; /* lines, without "t.json:" of the first */
} Refusal;

/* Each text is refused with exactly these words, and leaves nothing behind. */
static inline void assert_refusals(const Refusal *table, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        _cleanup_(config_unrefp) Config *c = parse(table[i].text);
        _cleanup_free_ char *expected = NULL;
        assert_true(asprintf(&expected, "t.json:%s", table[i].problems) >= 0);
        assert_problems(c, expected);
        assert_int_equal(c->n_services, 0);
    }
}
