/* SPDX-License-Identifier: ISC */

/* Texts only; nothing is looked at. Invariant: each member of the object is followed by another, so that
 * lines can be taken in and out of comments as they are; the last one is `idleTimeout`, which is always
 * there. */

#include "ctl/template.h"

#include <json-c/json.h>
#include <stdio.h>

#include "util/text.h"

typedef struct Writer {
    FILE *f;
    bool failed;
} Writer;

/* ── words ── */

#define PLAIN "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:=@%+,-"

char *shell_quote(const char *s)
{
    size_t n = strlen(s) + 3;

    if (*s && !s[strspn(s, PLAIN)])
        return strdup(s);
    for (const char *p = s; *p; p++)
        n += *p == '\'' ? STRLEN("'\\''") - 1 : 0;
    char *quoted = malloc(n), *to = quoted;
    if (!quoted)
        return NULL;
    *to++ = '\'';
    for (; *s; s++)
        if (*s == '\'')
            to = stpcpy(to, "'\\''");
        else
            *to++ = *s;
    strcpy(to, "'");
    return quoted;
}

/* "PREFIX 'a' b"; systemd takes "$" in arguments for the beginning of a variable. */
static char *join_quoted(const char *prefix, const char *const *args, bool double_dollars)
{
    char *line = strdup(prefix);

    for (; line && *args; args++) {
        _cleanup_free_ char *doubled = new0(char, 2 * strlen(*args) + 1), *before = line;
        char *to = doubled;
        for (const char *p = *args; to && *p; p++) {
            if (*p == '$' && double_dollars)
                *to++ = '$';
            *to++ = *p;
        }
        _cleanup_free_ char *quoted = doubled ? shell_quote(doubled) : NULL;
        line = quoted ? text_format("%s %s", before, quoted) : NULL;
    }
    return line;
}

/* ── members ── */

static void put_string(Writer *w, const char *s)
{
    json_object *o = s ? json_object_new_string(s) : NULL;
    const char *text = o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_NOSLASHESCAPE) : NULL;

    w->failed |= !text;
    fputs(text ?: "", w->f);
    json_object_put(o);
}

static void member(Writer *w, const char *key, const char *value)
{
    if (!value)
        return;
    fprintf(w->f, "  \"%s\": ", key);
    put_string(w, value);
    fputs(",\n", w->f);
}

static void strings(Writer *w, const char *key, const char *const *values)
{
    fprintf(w->f, "  \"%s\": [", key);
    for (size_t i = 0; values[i]; i++) {
        fputs(i > 0 ? ", " : "", w->f);
        put_string(w, values[i]);
    }
    fputs("],\n", w->f);
}

static void hosts(Writer *w, const char *list)
{
    _cleanup_free_ char *copy = strdup(list);
    char *rest = copy, *word;

    if (!strchr(list, ',')) {
        member(w, "host", list);
        return;
    }
    w->failed |= !copy;
    fputs("  \"hosts\": [", w->f);
    for (bool more = false; copy && (word = strsep(&rest, ",")); more = true) {
        fputs(more ? ", " : "", w->f);
        put_string(w, word);
    }
    fputs("],\n", w->f);
}

static bool is_number(const char *s)
{
    return *s && !s[strspn(s, "0123456789")];
}

static void routes(Writer *w, const Template *t)
{
    if (t->hosts) {
        fputs("  // Requests for these names are passed on.\n", w->f);
        hosts(w, t->hosts);
    }
    if (t->port && is_number(t->port))
        fprintf(w->f, "  // A port of its own, which dynapm listens on.\n  \"port\": %s,\n", t->port);
    else if (t->port) {
        fputs("  // An address of its own, which dynapm listens on.\n", w->f);
        member(w, "port", t->port);
    }
    member(w, "path", t->path);
}

static void base(Writer *w, const char *s)
{
    const char *port = *s == ':' ? s + 1 : s;
    _cleanup_free_ char *full = is_number(port) ? text_format("http://127.0.0.1:%s", port)
                                : *s == '/'     ? text_format("http+unix://%s", s)
                                                : strdup(s);
    w->failed |= !full;
    fputs("  // Where the service itself listens.\n", w->f);
    member(w, "base", full);
}

/* Takes the command lines; NULL, but for a start: there is none. */
static void commands(Writer *w, char *start, char *stop, char *check)
{
    const struct {
        const char *key;
        char *line;
    } all[] = {{"start", start}, {"stop", stop}, {"check", check}};

    fputs("  // Command lines for /bin/sh. `check` ends with status 0 if it runs.\n  \"commands\": {", w->f);
    for (size_t i = 0; i < ELEMENTSOF(all); i++) {
        w->failed |= i == 0 && !start;
        if (!all[i].line)
            continue;
        fprintf(w->f, "%s\n    \"%s\": ", i > 0 ? "," : "", all[i].key);
        put_string(w, all[i].line);
        free(all[i].line);
    }
    fputs("\n  },\n", w->f);
}

/* ── kinds ── */

static void exec_template(Writer *w, const Template *t)
{
    fputs("  // The program and its arguments. It has to stay in the foreground.\n", w->f);
    strings(w, "exec", t->args);
}

static void unit_template(Writer *w, const Template *t)
{
    fprintf(w->f, "  // Let nobody but dynapm start it: systemctl %sdisable --now …\n",
            t->user_instance ? "--user " : "");
    member(w, "unit", t->args[0]);
}

static void docker_template(Writer *w, const Template *t)
{
    _cleanup_free_ char *check =
            join_quoted("docker container inspect --format '{{.State.Running}}' --", t->args, false);

    fputs("  // The container is there already. Let nobody but dynapm start it: docker update --restart=no "
          "…\n",
            w->f);
    commands(w, join_quoted("docker start --", t->args, false), join_quoted("docker stop --", t->args, false),
            check ? text_format("%s | grep -qx true", check) : NULL);
    w->failed |= !check;
}

static void compose_template(Writer *w, const Template *t)
{
    static const char *const none[] = {NULL};
    const char *file[] = {t->args[0], NULL}, *const *services = t->args[0] ? t->args + 1 : none;
    _cleanup_free_ char *compose = join_quoted("docker compose --file", file, false);
    const char *dashes = services[0] ? " --" : "";
    _cleanup_free_ char *up = text_format("%s up --detach%s", compose ?: "", dashes),
                        *stop = text_format("%s stop%s", compose ?: "", dashes),
                        *ps = text_format("%s ps --status running --quiet%s", compose ?: "", dashes);
    _cleanup_free_ char *running = ps ? join_quoted(ps, services, false) : NULL;

    w->failed |= !compose || !up || !stop || !running;
    commands(w, up ? join_quoted(up, services, false) : NULL,
            stop ? join_quoted(stop, services, false) : NULL,
            running ? text_format("%s | grep -q .", running) : NULL);
}

static void pm2_template(Writer *w, const Template *t)
{
    _cleanup_free_ char *pid = join_quoted("pm2 pid", t->args, false);

    fputs("  // PM2 knows it already (`pm2 list`), under the user below.\n", w->f);
    commands(w, join_quoted("pm2 start", t->args, false), join_quoted("pm2 stop", t->args, false),
            pid ? text_format("%s | grep -q '[1-9]'", pid) : NULL);
    w->failed |= !pid;
}

static void systemd_run_template(Writer *w, const Template *t)
{
    const char *user = t->user_instance ? " --user" : "", *cwd[] = {t->cwd ?: "/", NULL};
    _cleanup_free_ char *run = text_format(
                                "systemd-run%s --quiet --collect --unit=app-%s --working-directory", user,
                                t->name),
                        *there = run ? join_quoted(run, cwd, false) : NULL,
                        *dashes = there ? text_format("%s --", there) : NULL;

    commands(w, dashes ? join_quoted(dashes, t->args, true) : NULL,
            text_format("systemctl%s stop app-%s.service", user, t->name),
            text_format("systemctl%s is-active --quiet app-%s.service", user, t->name));
}

static void commands_template(Writer *w, const Template *t)
{
    commands(w, strdup(t->args[0]), t->stop ? strdup(t->stop) : NULL, t->check ? strdup(t->check) : NULL);
}

static void (*const templates[_TEMPLATE_KIND_MAX])(Writer *w, const Template *t) = {
        [TEMPLATE_EXEC] = exec_template,
        [TEMPLATE_UNIT] = unit_template,
        [TEMPLATE_DOCKER] = docker_template,
        [TEMPLATE_COMPOSE] = compose_template,
        [TEMPLATE_PM2] = pm2_template,
        [TEMPLATE_SYSTEMD_RUN] = systemd_run_template,
        [TEMPLATE_COMMANDS] = commands_template,
};

/* ── the whole ── */

static void surroundings(Writer *w, const Template *t)
{
    if (t->user) {
        fputs(t->kind == TEMPLATE_DOCKER || t->kind == TEMPLATE_COMPOSE
                        ? "  // Who may use docker: root, and members of the group docker.\n"
                        : "  // Whose processes they are.\n",
                w->f);
        member(w, "user", t->user);
    }
    if (t->cwd && t->kind != TEMPLATE_SYSTEMD_RUN)
        member(w, "cwd", t->cwd);
    if (t->kind != TEMPLATE_UNIT)
        fputs("  // \"env\": {\"NODE_ENV\": \"production\"},\n", w->f);
}

static void health(Writer *w, const Template *t)
{
    bool docker = t->kind == TEMPLATE_DOCKER || t->kind == TEMPLATE_COMPOSE;
    /* Docker accepts connections on a published port before anybody in the container does. */
    bool on = t->health || (docker && t->base && !startswith(t->base, "tcp:"));

    fputs(on ? "  // It is ready when it answers this well, with a status from 200 to 399.\n"
             : "  // It is ready when it accepts connections; or when it answers this well:\n",
            w->f);
    fprintf(w->f, "  %s\"healthCheck\": {\"type\": \"http\", \"url\": ", on ? "" : "// ");
    put_string(w, t->health ?: on ? "/" : "/health");
    fputs("},\n", w->f);
}

int template_format(const Template *t, char **ret)
{
    _cleanup_free_ char *text = NULL;
    size_t len;
    Writer w = {.f = open_memstream(&text, &len)};

    if (!w.f)
        return -ENOMEM;
    fputs("// Written by `dynapmctl new`; dynapm.d(5) explains all keys, `dynapmctl check` finds "
          "mistakes.\n{\n",
            w.f);
    routes(&w, t);
    if (t->base)
        base(&w, t->base);
    fputc('\n', w.f);
    templates[t->kind](&w, t);
    surroundings(&w, t);
    fputc('\n', w.f);
    health(&w, t);
    fputs("  // \"startTimeout\": \"30s\",\n"
          "  // Stop it when there was no open request for so long; \"never\" is possible.\n"
          "  \"idleTimeout\": ",
            w.f);
    put_string(&w, t->idle_timeout ?: "5min");
    fputs("\n}\n", w.f);
    if (fclose(w.f) != 0 || w.failed)
        return -ENOMEM;
    *ret = TAKE_PTR(text);
    return 0;
}
