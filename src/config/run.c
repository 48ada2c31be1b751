/* SPDX-License-Identifier: ISC */

/* How a service is run: exactly one of unit, exec, commands and proxyOnly, and what goes with it. DynaPM's
 * files have `commands` in every service, so that in them proxyOnly wins; `commands.cwd` and `commands.env`
 * are DynaPM's places for what dynapm has at the service. */

#include <stdio.h>

#include "config/service.h"

#define KINDS "exactly one of unit, exec, commands and proxyOnly"

typedef struct CommandsDraft {
    Value start, stop, check, cwd, env;
} CommandsDraft;

const Key command_keys[] = {
        {"start", key_keep, offsetof(CommandsDraft, start)},
        {"stop", key_keep, offsetof(CommandsDraft, stop)},
        {"check", key_keep, offsetof(CommandsDraft, check)},
        {"cwd", key_keep, offsetof(CommandsDraft, cwd)},
        {"env", key_keep, offsetof(CommandsDraft, env)},
        {},
};

static int read_kind(Reader *r, const ServiceDraft *d, ServiceKind *ret)
{
    const struct {
        const Value *v;
        ServiceKind kind;
    } all[] = {{&d->unit, SERVICE_UNIT}, {&d->exec, SERVICE_EXEC}, {&d->commands, SERVICE_COMMANDS},
            {&d->proxy_only, SERVICE_PROXY_ONLY}};
    const Value *first = NULL, *second = NULL;
    bool proxy_only = false;

    if (value_given(&d->proxy_only)) {
        int k = value_bool(r, &d->proxy_only, &proxy_only);
        if (k < 0)
            return k;
    }
    for (size_t i = 0; i < ELEMENTSOF(all); i++) {
        const Value *v = all[i].v;
        if (!value_given(v) || (v == &d->proxy_only && !proxy_only) ||
                (v == &d->commands && r->dynapm && proxy_only))
            continue;
        if (!first) {
            first = v;
            *ret = all[i].kind;
            continue;
        }
        /* Nodes lie in document order; the later one is to be the wrong one. */
        second = v->node > first->node ? v : first;
        first = v->node > first->node ? first : v;
    }
    if (second)
        return problem_at_key(r, second, "expected " KINDS ", got %s too", first->key);
    if (!first)
        return problem_at(r, &d->object, "expected " KINDS ", got none of them");
    return 0;
}

static int read_command(Reader *r, const Value *v, char **ret)
{
    const char *s;
    int k = value_string(r, v, "a command line for /bin/sh", &s);
    return k < 0 ? k : set_string(ret, s);
}

static int read_exec(Reader *r, const Value *v, char ***ret)
{
    ValueIterator it = {};
    size_t n = 0;
    int all = 0;

    if (!value_is(v, json_type_array) || v->node->n_children == 0)
        return problem_expected(
                r, v, "a program and its arguments, such as [\"/usr/bin/node\", \"server.js\"]");
    char **argv = new0(char *, v->node->n_children + 1);
    if (!argv)
        return -ENOMEM;
    *ret = argv; /* from here on the service's, whatever happens; without gaps, or what is behind one leaks */
    for (Value arg = {}; value_next(r, v, &it, &arg);) {
        const char *s;
        int k;

        if (!value_is(&arg, json_type_string))
            k = problem_expected(r, &arg, "a string");
        else {
            s = json_object_get_string(arg.json);
            if (arg.index == 0 && (!*s || (strchr(s, '/') && *s != '/')))
                k = problem_expected(r, &arg, "an absolute path, or a name to be found in $PATH");
            else
                k = set_string(&argv[n++], s);
        }
        if (is_fatal(&all, k))
            return k;
    }
    return all;
}

#define NAME_START "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"

static int read_env(Reader *r, const Value *v, char ***ret)
{
    ValueIterator it = {};
    size_t n = 0;
    int all = 0;

    if (!value_is(v, json_type_object))
        return problem_expected(r, v, "an object of environment variables");
    char **env = new0(char *, v->node->n_children + 1);
    if (!env)
        return -ENOMEM;
    *ret = env;
    for (Value e = {}; value_next(r, v, &it, &e);) {
        json_type type = json_object_get_type(e.json);
        int k = 0;

        if (!strchr(NAME_START, *e.key) || !*e.key || e.key[strspn(e.key, NAME_START "0123456789")])
            k = problem_at_key(r, &e, "expected letters, digits and \"_\" as an environment variable's name");
        else if (type == json_type_string || type == json_type_boolean || type == json_type_int ||
                 type == json_type_double) {
            if (asprintf(&env[n], "%s=%s", e.key, json_object_get_string(e.json)) < 0) {
                env[n] = NULL;
                k = -ENOMEM;
            } else
                n++;
        } else
            k = problem_expected(r, &e, "a string");
        if (is_fatal(&all, k))
            return k;
    }
    return all;
}

static int read_cwd(Reader *r, const Value *v, char **ret)
{
    const char *s;

    int k = value_string(r, v, "an absolute path", &s);
    if (k < 0)
        return k;
    if (*s == '/')
        return set_string(ret, s);
    if (!r->dynapm || !r->folder)
        return problem_expected(r, v, "an absolute path");
    char *joined;
    if (asprintf(&joined, "%s/%s", r->folder, s) < 0)
        return -ENOMEM;
    *ret = joined;
    return 0;
}

/* A name that user and group databases take, systemd.io/USER_NAMES; numbers are no names. */
static int read_account(Reader *r, const Value *v, const char *what, char **ret)
{
    const char *s;

    int k = value_string(r, v, what, &s);
    if (k < 0)
        return k;
    if (!strchr(NAME_START, *s) || s[strspn(s, NAME_START "0123456789.-")] || strlen(s) > 32)
        return problem_expected(r, v, "%s", what);
    return set_string(ret, s);
}

/* Of two places for the same thing only one may be used. */
static int choose(Reader *r, const Value *outer, const Value *inner, const Value **ret)
{
    *ret = value_given(inner) ? inner : outer;
    if (value_given(inner) && value_given(outer))
        return problem_at_key(r, inner, "expected %s at the service or in commands, got both", inner->key);
    return 0;
}

static int read_commands(Reader *r, const ServiceDraft *d, CommandsDraft *c, ServiceConfig *service)
{
    const struct {
        const Value *v;
        char **field;
    } lines[] = {{&c->start, &service->start_command}, {&c->stop, &service->stop_command},
            {&c->check, &service->check_command}};
    int all = 0;

    int k = read_object(r, &d->commands, command_keys, c);
    if (is_fatal(&all, k))
        return k;
    for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
        k = value_given(lines[i].v) ? read_command(r, lines[i].v, lines[i].field) : 0;
        if (is_fatal(&all, k))
            return k;
    }
    if (value_is(&d->commands, json_type_object) && !value_given(&c->start)) {
        k = problem_missing(r, &d->commands, "start", "expected the command line that starts the service");
        if (is_fatal(&all, k))
            return k;
    }
    return all;
}

#define UNIT_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@"

/* systemd.unit(5); ".service" goes without saying, as with systemctl(1). */
static int read_unit(Reader *r, const Value *v, char **ret)
{
    static const char *const suffixes[] = {
            ".service", ".target", ".socket", ".path", ".timer", ".mount", ".automount", ".swap"};
    const char *s, *suffix;
    bool known = false;
    char *unit;

    int k = value_string(r, v, "a systemd unit such as \"blog.service\"", &s);
    if (k < 0)
        return k;
    suffix = strrchr(s, '.');
    for (size_t i = 0; suffix && i < ELEMENTSOF(suffixes); i++)
        known |= streq(suffix, suffixes[i]);
    if (s[strspn(s, UNIT_CHARACTERS)] || *s == '.' || *s == '@' || strlen(s) > 240)
        return problem_expected(r, v, "a systemd unit such as \"blog.service\"");
    if (strstr(s, "@.") || s[strlen(s) - 1] == '@')
        return problem_expected_hint(
                r, v, "a systemd unit such as \"blog.service\"", ", a template without an instance");
    if (suffix && (streq(suffix, ".device") || streq(suffix, ".scope") || streq(suffix, ".slice")))
        return problem_expected_hint(r, v, "a systemd unit such as \"blog.service\"",
                "; units of that type are not started to serve");
    if (asprintf(&unit, "%s%s", s, known ? "" : ".service") < 0)
        return -ENOMEM;
    *ret = unit;
    return 0;
}

static int read_surroundings(Reader *r, const ServiceDraft *d, const CommandsDraft *c, ServiceConfig *service)
{
    const Value *cwd, *env;
    int all = 0, k;

    k = choose(r, &d->cwd, &c->cwd, &cwd);
    if (k == 0 && value_given(cwd))
        k = read_cwd(r, cwd, &service->cwd);
    else if (k == 0 && r->dynapm && r->folder)
        k = set_string(&service->cwd, r->folder);
    if (is_fatal(&all, k))
        return k;
    k = choose(r, &d->env, &c->env, &env);
    if (k == 0 && value_given(env))
        k = read_env(r, env, &service->env);
    if (is_fatal(&all, k))
        return k;
    k = value_given(&d->user) ? read_account(r, &d->user, "a user's name", &service->user) : 0;
    if (is_fatal(&all, k))
        return k;
    k = value_given(&d->group) ? read_account(r, &d->group, "a group's name", &service->group) : 0;
    if (is_fatal(&all, k))
        return k;
    k = limits_read(r, d, service);
    if (is_fatal(&all, k))
        return k;
    return all;
}

/* What dynapm does not run it gives no surroundings to either. */
static int refuse_surroundings(Reader *r, const ServiceDraft *d, ServiceKind kind)
{
    const Value *values[4 + _LIMIT_KEY_MAX] = {&d->cwd, &d->env, &d->user, &d->group};
    int all = 0;

    for (size_t i = 0; i < _LIMIT_KEY_MAX; i++)
        values[4 + i] = &d->limits[i];
    for (size_t i = 0; i < ELEMENTSOF(values) && !r->dynapm; i++) {
        int k = value_given(values[i])
                        ? problem_at_key(r, values[i], "expected only with exec or commands, got it with %s",
                                  service_kind_to_string(kind))
                        : 0;
        if (is_fatal(&all, k))
            return k;
    }
    return all;
}

/* Only of a program that we execute do we know who may speak for it. DynaPM has no such key, so that in its
 * configurations too somebody expects it to do something. */
static int read_notify(Reader *r, const ServiceDraft *d, ServiceConfig *service)
{
    bool notify;

    if (!value_given(&d->notify))
        return 0;
    int k = value_bool(r, &d->notify, &notify);
    if (k < 0)
        return k;
    if (notify && service->kind != SERVICE_EXEC)
        return problem_at_key(r, &d->notify, "expected only with exec, got it with %s",
                service_kind_to_string(service->kind));
    service->notify = notify;
    return 0;
}

int run_read(Reader *r, const ServiceDraft *d, ServiceConfig *service)
{
    CommandsDraft commands = {};
    int all = 0, k;

    k = read_kind(r, d, &service->kind);
    if (k < 0)
        return k;
    switch (service->kind) {
    case SERVICE_EXEC:
        k = read_exec(r, &d->exec, &service->exec);
        break;
    case SERVICE_COMMANDS:
        k = read_commands(r, d, &commands, service);
        break;
    case SERVICE_UNIT:
        k = read_unit(r, &d->unit, &service->unit);
        break;
    default:
        break;
    }
    if (is_fatal(&all, k))
        return k;
    k = service->kind == SERVICE_UNIT || service->kind == SERVICE_PROXY_ONLY
                ? refuse_surroundings(r, d, service->kind)
                : read_surroundings(r, d, &commands, service);
    if (is_fatal(&all, k))
        return k;
    k = read_notify(r, d, service);
    if (is_fatal(&all, k))
        return k;
    return all;
}
