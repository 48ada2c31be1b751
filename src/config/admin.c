/* SPDX-License-Identifier: ISC */

/* adminApi, in DynaPM's words (enabled, host, port, authToken, allowedIps) and in ours. What is wrong in it
 * turns it off rather than letting in whom nobody meant to; that includes an address that others can reach
 * without a token or allowedIps. */

#include <stdio.h>

#include "config/global.h"
#include "config/hostname.h"
#include "config/suggest.h"

#define ADMIN_DEFAULT_PORT 4000 /* DynaPM's */
#define TOKEN_MAX 256
#define CREDENTIAL_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

typedef struct AdminDraft {
    AdminConfig config;
    Value host, port, listen; /* they depend on each other */
} AdminDraft;

bool admin_token_is_set(const AdminToken *t)
{
    return t->text || t->file || t->credential;
}

static void token_done(AdminToken *t)
{
    if (t->text)
        explicit_bzero(t->text, strlen(t->text));
    free(t->text);
    free(t->file);
    free(t->credential);
}

void admin_config_done(AdminConfig *a)
{
    token_done(&a->token);
    token_done(&a->read_token);
    free(a->hostname);
    free(a->file);
    free(a->allowed);
    *a = (AdminConfig){};
}

/* ── single keys; offsets are those of AdminDraft ── */

static char **string_at(const Key *key, void *object)
{
    return (char **) ((char *) object + key->offset);
}

/* token68 (RFC 9110, 11.2): what else could not be presented. The value is not quoted in the problem. */
static bool is_token68(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/");
    return n > 0 && strspn(s + n, "=") == strlen(s + n) && strlen(s) <= TOKEN_MAX;
}

static int read_token(Reader *r, const Value *v, const Key *key, void *object)
{
    if (value_is(v, json_type_null)) /* as DynaPM's users write it */
        return 0;
    const char *s = value_is(v, json_type_string) ? json_object_get_string(v->json) : "";
    if (!is_token68(s))
        return problem_at(r, v,
                "expected a token of at most %d letters, digits and -._~+/, with = at its end", TOKEN_MAX);
    return set_string(string_at(key, object), s);
}

static int read_token_file(Reader *r, const Value *v, const Key *key, void *object)
{
    const char *s = value_is(v, json_type_string) ? json_object_get_string(v->json) : "";
    if (*s != '/')
        return problem_expected(r, v, "an absolute path");
    return set_string(string_at(key, object), s);
}

static int read_credential(Reader *r, const Value *v, const Key *key, void *object)
{
    static const char what[] = "the name of a credential such as \"dynapm.admin-token\"";
    const char *s = value_is(v, json_type_string) ? json_object_get_string(v->json) : "";
    size_t n = strspn(s, CREDENTIAL_CHARACTERS);
    if (n == 0 || s[n] || n > 255 || *s == '.')
        return problem_expected(r, v, "%s", what);
    return set_string(string_at(key, object), s);
}

static int read_hostname(Reader *r, const Value *v, const Key *key, void *object)
{
    const char *s, *why = "";
    char *name;

    int k = value_string(r, v, "a hostname", &s);
    if (k < 0)
        return k;
    k = *s == '*' ? -EINVAL : hostname_normalize(s, &name, &why);
    if (k == -EINVAL)
        return problem_expected_hint(r, v, "a hostname", why);
    if (k < 0)
        return k;
    free(*string_at(key, object));
    *string_at(key, object) = name;
    return 0;
}

static int read_allowed(Reader *r, const Value *v, const Key *key, void *object)
{
    AdminConfig *a = &((AdminDraft *) object)->config;
    return cidr_blocks_read(r, v, &a->allowed, &a->n_allowed);
}

static int keep_port(Reader *r, const Value *v, const Key *key, void *object)
{
    uint16_t ignored;
    int k = value_port(r, v, "a port from 1 to 65535", &ignored);
    return k < 0 ? k : key_keep(r, v, key, object);
}

static int keep_host(Reader *r, const Value *v, const Key *key, void *object)
{
    if (value_is(v, json_type_null))
        return 0;
    return value_is(v, json_type_string) ? key_keep(r, v, key, object) : problem_expected(r, v, "a string");
}

static int read_listen(Reader *r, const Value *v, const Key *key, void *object)
{
    SocketAddress *a = &((AdminDraft *) object)->config.listen;
    const char *s = value_is(v, json_type_string) ? json_object_get_string(v->json) : "";

    /* A port alone would be open to all: who wants that writes the address. */
    if (!strchr(s, ':') || socket_address_parse(s, a) < 0 ||
            (a->sa.sa_family == AF_UNIX && a->un.sun_path[0] != '/')) {
        *a = (SocketAddress){};
        return problem_expected(r, v, "ADDRESS:PORT or unix:/PATH");
    }
    return key_keep(r, v, key, object);
}

/* DynaPM ignores what it does not know, and so do we, but not a slip of the pen in what keeps people out. */
static int read_unknown(Reader *r, const Value *v, const Key *key, void *object)
{
    Suggestion s = {};

    for (const Key *k = admin_keys; !streq(k->name, "*"); k++)
        suggestion_consider(&s, v->key, k->name);
    return s.best ? problem_at_key(r, v, "unknown key; did you mean \"%s\"?", s.best) : 0;
}

#define AT(field) offsetof(AdminDraft, field)
const Key admin_keys[] = {
        {"enabled", key_bool, AT(config.enabled)},
        {"listen", read_listen, AT(listen)},
        {"hostname", read_hostname, AT(config.hostname)},
        {"host", keep_host, AT(host)},
        {"port", keep_port, AT(port)},
        {"authToken", read_token, AT(config.token.text)},
        {"tokenFile", read_token_file, AT(config.token.file)},
        {"tokenCredential", read_credential, AT(config.token.credential)},
        {"readOnlyToken", read_token, AT(config.read_token.text)},
        {"readOnlyTokenFile", read_token_file, AT(config.read_token.file)},
        {"readOnlyTokenCredential", read_credential, AT(config.read_token.credential)},
        {"allowedIps", read_allowed},
        {"*", read_unknown},
        {},
};
#undef AT

/* ── the whole ── */

static int decide_address(Reader *r, const Value *v, AdminDraft *d)
{
    AdminConfig *a = &d->config;
    uint16_t port = ADMIN_DEFAULT_PORT;
    int k;

    if (value_given(&d->listen))
        return value_given(&d->host) || value_given(&d->port)
                       ? problem_at(r, v, "expected either listen, or host and port, got both")
                       : 0;
    if (a->hostname && !value_given(&d->host) && !value_given(&d->port))
        return 0;
    if (value_given(&d->host)) {
        k = listen_host_read(r, &d->host, &a->listen);
        if (k < 0)
            return k;
    } else
        (void) socket_address_from_ip(LISTEN_DEFAULT_HOST, port, &a->listen);
    if (value_given(&d->port) && (k = value_port(r, &d->port, "a port from 1 to 65535", &port)) < 0)
        return k;
    listen_set_port(&a->listen, port);
    return 0;
}

static int check_token(Reader *r, const Value *v, const AdminToken *t, const char *names)
{
    int n = (t->text != NULL) + (t->file != NULL) + (t->credential != NULL);
    return n > 1 ? problem_at(r, v, "expected one of %s, got %d", names, n) : 0;
}

/* Who can reach it without being on this machine? */
static bool is_reachable(const AdminConfig *a)
{
    if (a->listen.len == 0)
        return true;
    switch (a->listen.sa.sa_family) {
    case AF_INET:
        return ntohl(a->listen.in.sin_addr.s_addr) >> 24 != 127;
    case AF_INET6:
        return !IN6_IS_ADDR_LOOPBACK(&a->listen.in6.sin6_addr);
    default:
        return false;
    }
}

static int check(Reader *r, const Value *v, AdminDraft *d)
{
    const AdminConfig *a = &d->config;
    char listener[SOCKET_ADDRESS_STRING_MAX];
    int k;

    if ((k = check_token(r, v, &a->token, "authToken, tokenFile and tokenCredential")) < 0 ||
            (k = check_token(r, v, &a->read_token,
                     "readOnlyToken, readOnlyTokenFile and readOnlyTokenCredential")) < 0)
        return k;
    if (!a->enabled)
        return 0;
    k = decide_address(r, v, d);
    if (k < 0)
        return k;
    if (admin_token_is_set(&a->read_token) && !admin_token_is_set(&a->token))
        return problem_at(r, v, "expected a token for everything beside the one for reading");
    if (is_reachable(a) && !admin_token_is_set(&a->token) && a->n_allowed == 0)
        return problem_at(r, v,
                "%s can be reached from outside: expected tokenCredential, tokenFile, authToken or "
                "allowedIps",
                a->listen.len > 0 ? socket_address_format(listener, &a->listen) : a->hostname);
    return 0;
}

int admin_api_read(Reader *r, const Value *v, AdminConfig *ret)
{
    AdminDraft d = {};

    int k = read_object(r, v, admin_keys, &d);
    if (k == 0)
        k = check(r, v, &d);
    if (k == 0 && !(d.config.file = strdup(r->file)))
        k = -ENOMEM;
    if (k < 0) {
        admin_config_done(&d.config);
        return k;
    }
    *ret = d.config;
    return 0;
}
