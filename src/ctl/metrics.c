/* SPDX-License-Identifier: ISC */

#include <stdio.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "ipc/bus.h"

/* From its beginning, whatever offset the descriptor has. */
static int print_file(int fd)
{
    char buf[65536];
    ssize_t n;

    for (off_t at = 0; (n = pread(fd, buf, sizeof buf, at)) > 0; at += n)
        if (fwrite(buf, 1, (size_t) n, stdout) != (size_t) n)
            return CTL_OK; /* which is said at the end, of all commands */
    return n < 0 ? ctl_error("Cannot read the manager's answer: %s", strerror(errno)) : CTL_OK;
}

int ctl_metrics(const CtlOptions *options, char **args)
{
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    int fd;

    if (ctl_connect(options, &bus) < 0)
        return CTL_FAILURE;
    int r = sd_bus_call_method(bus, sd_bus_is_bus_client(bus) ? BUS_NAME : NULL, BUS_PATH,
            BUS_MANAGER_INTERFACE, "Metrics", &error, &m, "s",
            options->openmetrics ? BUS_METRICS_OPENMETRICS : BUS_METRICS_PROMETHEUS);
    if (r >= 0)
        r = sd_bus_message_read(m, "h", &fd);
    if (r < 0)
        return ctl_error("The manager does not tell its metrics: %s", error.message ?: strerror(-r));
    return print_file(fd);
}
