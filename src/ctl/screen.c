/* SPDX-License-Identifier: ISC */

/* Control sequences are those of ECMA-48 and of xterm's alternate screen, which every terminal of the last
 * decades has; no terminfo(5). The one state that there is belongs to the process as its terminal does: it is
 * what a crash has to find. */

#include "ctl/screen.h"

#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define BEGIN "\x1b[?1049h\x1b[?25l\x1b[2J"
#define END "\x1b[0m\x1b[?25h\x1b[?1049l"

static struct termios saved;
static volatile sig_atomic_t taken;

static void put(const char *s, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, s, len);
        if (n < 0 && errno != EINTR)
            return;
        if (n > 0) {
            s += n;
            len -= (size_t) n;
        }
    }
}

void screen_end(void)
{
    if (!taken)
        return;
    taken = 0;
    put(END, STRLEN(END));
    (void) tcsetattr(STDIN_FILENO, TCSANOW, &saved);
}

static void on_crash(int signal_number)
{
    screen_end();
    (void) raise(signal_number); /* as it is blocked now, when this returns, and with its default action */
}

static void catch_crashes(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
    const struct sigaction action = {.sa_handler = on_crash, .sa_flags = SA_RESETHAND};
    struct sigaction old;

    for (size_t i = 0; i < ELEMENTSOF(signals); i++)
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL) /* a sanitizer has its own */
            (void) sigaction(signals[i], &action, NULL);
}

int screen_begin(void)
{
    const char *term = getenv("TERM");
    struct termios raw;

    if (!isatty(STDOUT_FILENO) || !term || streq(term, "dumb"))
        return -ENOTTY;
    if (tcgetattr(STDIN_FILENO, &saved) < 0)
        return -errno;
    catch_crashes();
    raw = saved;
    raw.c_lflag &= ~(tcflag_t) (ICANON | ECHO); /* ISIG stays: Ctrl-C and Ctrl-Z are as always */
    raw.c_iflag &= ~(tcflag_t) (IXON | ICRNL);
    raw.c_oflag &= ~(tcflag_t) OPOST;
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    taken = 1;
    if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0) {
        int r = -errno;
        taken = 0;
        return r;
    }
    (void) atexit(screen_end);
    put(BEGIN, STRLEN(BEGIN));
    return 0;
}

void screen_size(size_t *ret_rows, size_t *ret_columns)
{
    struct winsize w;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_row > 0 && w.ws_col > 0;

    *ret_rows = known ? w.ws_row : 24;
    *ret_columns = known ? w.ws_col : 80;
}

/* Each line is cleared behind its end, and the rest of the screen below: nothing flickers. No line feed after
 * the last one, which would scroll. */
void screen_show(const char *text, size_t len)
{
    static const char erase[] = "\x1b[K";
    _cleanup_free_ char *out = NULL;
    size_t n;
    FILE *f = open_memstream(&out, &n);

    if (!f)
        return;
    fputs("\x1b[H", f);
    for (const char *end = text + len, *line = text; line < end;) {
        const char *feed = memchr(line, '\n', (size_t) (end - line));
        size_t width = (size_t) ((feed ?: end) - line);
        fwrite(line, 1, width, f);
        fputs(erase, f);
        line += width + 1;
        if (line < end)
            fputs("\r\n", f);
    }
    fputs("\x1b[J", f);
    if (fclose(f) == 0)
        put(out, n);
}
