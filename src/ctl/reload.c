/* SPDX-License-Identifier: ISC */

/* reload: one call, answered when every gateway uses the new configuration. Silent if all is well, as
 * `systemctl reload` is, which runs this. */

#include <stdio.h>

#include "config/internal.h"
#include "ctl/load.h"
#include "ctl/services.h"
#include "ipc/bus.h"

static const char *destination(sd_bus *bus)
{
    return sd_bus_is_bus_client(bus) > 0 ? BUS_NAME : NULL;
}

/* The answer's problems, as a configuration that has nothing else. */
static int read_problems(sd_bus_message *m, Config *ret)
{
    const char *file, *path, *message;
    uint32_t line, column;
    int r;

    if ((r = sd_bus_message_skip(m, "u")) < 0 || (r = sd_bus_message_enter_container(m, 'a', "(suuss)")) < 0)
        return r;
    while ((r = sd_bus_message_read(m, "(suuss)", &file, &line, &column, &path, &message)) > 0) {
        char *place = *path ? strdup(path) : NULL;
        if (*path && !place)
            return -ENOMEM;
        r = config_add_problem(ret, file, line, column, place, strdup(message));
        if (r < 0)
            return r;
    }
    return r;
}

int ctl_reload(const CtlOptions *options, char **none)
{
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    _cleanup_(config_unrefp) Config *config = config_new();

    if (!config)
        return ctl_oom();
    if (ctl_connect(options, &bus) < 0)
        return CTL_FAILURE;
    int r = sd_bus_message_new_method_call(
            bus, &call, destination(bus), BUS_PATH, BUS_MANAGER_INTERFACE, "Reload");
    if (r >= 0 && sd_bus_call(bus, call, UINT64_MAX, &error, &reply) < 0) {
        (void) ctl_error("Cannot reload: %s", error.message ?: error.name);
        int status = ctl_status_of(&error);
        if (status == CTL_NO_PERMISSION)
            (void) ctl_error("Try it as root.");
        return status;
    }
    if (r >= 0)
        r = read_problems(reply, config);
    if (r < 0)
        return ctl_error("The manager's answer makes no sense: %s", strerror(-r));
    int status = ctl_print_problems(options, config);
    if (config->n_problems > 0)
        (void) ctl_error("%s stays as it was.",
                config->n_problems == 1 ? "What this mistake concerns" : "What these mistakes concern");
    return status;
}

void ctl_say_problems(sd_bus *bus)
{
    uint32_t n = 0;

    if (sd_bus_get_property_trivial(bus, destination(bus), BUS_PATH, BUS_MANAGER_INTERFACE, "NConfigProblems",
                NULL, 'u', &n) >= 0 &&
            n > 0)
        printf("\n%s%u mistake%s in the configuration%s: see `dynapmctl check`.\n", colour_on(COLOUR_YELLOW),
                n, n == 1 ? "" : "s", colour_off());
}
