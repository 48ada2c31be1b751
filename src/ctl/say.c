/* SPDX-License-Identifier: ISC */

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "ctl/ctl.h"

int ctl_error(const char *format, ...)
{
    va_list ap;

    fflush(stdout);
    fputs("dynapmctl: ", stderr);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    return CTL_FAILURE;
}

int ctl_oom(void)
{
    return ctl_error("Out of memory.");
}

static bool has_colours(void)
{
    static int yes = -1;

    if (yes < 0) {
        const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
        yes = isatty(STDOUT_FILENO) && !(no && *no) && term && !streq(term, "dumb");
    }
    return yes;
}

const char *colour_on(Colour c)
{
    static const char *const sequences[] = {
            [COLOUR_NONE] = "",
            [COLOUR_GREEN] = "\x1b[32m",
            [COLOUR_YELLOW] = "\x1b[33m",
            [COLOUR_RED] = "\x1b[31m",
            [COLOUR_GREY] = "\x1b[90m",
            [COLOUR_BOLD] = "\x1b[1m",
    };
    return has_colours() ? sequences[c] : "";
}

const char *colour_off(void)
{
    return has_colours() ? "\x1b[0m" : "";
}

Colour colour_of_state(const char *state)
{
    return streq(state, "online")    ? COLOUR_GREEN
           : streq(state, "failed")  ? COLOUR_RED
           : streq(state, "offline") ? COLOUR_GREY
                                     : COLOUR_YELLOW;
}
