/* SPDX-License-Identifier: ISC */

/* The services of a whole DynaPM configuration, {"services": {KEY: {…}}}, as JSON.stringify() prints what its
 * users have in dynapm.config.ts. What ran there runs here: a service without host, port or routes has its
 * KEY as hostname, ports are on the address of the whole gateway, relative paths start in the file's folder,
 * names need not be names by our rules nor differ, proxyOnly beats the commands that every service has to
 * have there. A service that is refused leaves the others alone. */

#include "config/global.h"
#include "config/service.h"

/* The key, as a name of ours. */
static char *name_from_key(const char *key)
{
    char name[65];
    size_t n = 0;

    for (; key[n] && n < sizeof name - 1; n++) {
        char c[2] = {key[n]};
        name[n] = is_service_name(c) ? key[n] : '_';
    }
    name[n] = 0;
    return strdup(n > 0 ? name : "_");
}

int dynapm_services_read(Reader *r, const Value *v, const SocketAddress *listen)
{
    ValueIterator it = {};
    int all = 0;

    if (!value_is(v, json_type_object))
        return problem_expected(r, v, "an object of services, each under its hostname");
    for (Value service = {}; value_next(r, v, &it, &service);) {
        _cleanup_free_ char *name = name_from_key(service.key);
        if (!name)
            return -ENOMEM;
        int k = service_read(
                r, &service, &(ServicePlace){.name = name, .host = service.key, .listen = listen});
        if (is_fatal(&all, k))
            return k;
    }
    return all;
}
