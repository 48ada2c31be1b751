/* SPDX-License-Identifier: ISC */

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>
#include <sys/ioctl.h>
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

int ctl_parse_boolean(const char *s)
{
    static const char *const words[] = {
            "0", "no", "n", "false", "f", "off", "1", "yes", "y", "true", "t", "on"};

    for (size_t i = 0; s && i < ELEMENTSOF(words); i++)
        if (strcasecmp(s, words[i]) == 0)
            return i >= ELEMENTSOF(words) / 2;
    return -EINVAL;
}

/* ── what stdout is, or was before there was a pager ── */

typedef struct Terminal {
    bool known;
    bool colours;
    size_t width;
} Terminal;

static bool wants_colours(void)
{
    const char *said = getenv("SYSTEMD_COLORS"), *no = getenv("NO_COLOR"), *term = getenv("TERM");
    int yes = ctl_parse_boolean(said);

    if (yes >= 0)
        return yes;
    if (said && (streq(said, "16") || streq(said, "256")))
        return true;
    return isatty(STDOUT_FILENO) && !(no && *no) && term && !streq(term, "dumb");
}

static size_t find_width(void)
{
    const char *columns = getenv("COLUMNS");
    struct winsize w;

    if (!isatty(STDOUT_FILENO))
        return 0;
    if (columns && atoi(columns) > 0)
        return (size_t) atoi(columns);
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
}

static const Terminal *terminal(void)
{
    static Terminal t;

    if (!t.known)
        t = (Terminal){.known = true, .colours = wants_colours(), .width = find_width()};
    return &t;
}

void terminal_look(void)
{
    (void) terminal();
}

size_t terminal_width(void)
{
    return terminal()->width;
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
    return terminal()->colours ? sequences[c] : "";
}

const char *colour_off(void)
{
    return terminal()->colours ? "\x1b[0m" : "";
}

Colour colour_of_state(const char *state)
{
    return streq(state, "online")    ? COLOUR_GREEN
           : streq(state, "failed")  ? COLOUR_RED
           : streq(state, "offline") ? COLOUR_GREY
                                     : COLOUR_YELLOW;
}

const char *bytes_format(char buf[static BYTES_STRING_MAX], uint64_t n)
{
    static const char units[] = "KMGTPE";
    uint64_t whole = n, rest = 0;
    int unit = -1;

    if (n == UINT64_MAX)
        return "-";
    for (; whole >= 1024; unit++) {
        rest = whole % 1024;
        whole /= 1024;
    }
    if (unit < 0)
        snprintf(buf, BYTES_STRING_MAX, "%uB", (unsigned) whole);
    else
        snprintf(buf, BYTES_STRING_MAX, "%u.%u%c", (unsigned) whole, (unsigned) (rest * 10 / 1024),
                units[unit]);
    return buf;
}
