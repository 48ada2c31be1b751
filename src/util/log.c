/* SPDX-License-Identifier: ISC */

/* The log. Its state is set once, by main() before anything runs, and read ever after: the program's name,
 * the level, whether stderr is the journal, and which other unit the lines are about. A line is built in a
 * buffer of fixed size and written with one call, so lines of several processes on one terminal do not mix.
 */

#define SD_JOURNAL_SUPPRESS_LOCATION
#include "util/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048
#define FIELDS_MAX 16

static const char *log_program = "dynapm";
static int log_max_level = LOG_INFO;
static bool log_to_journal = false;
static const char *log_object = NULL;

/* systemd.exec(5): stderr is the journal's stream if its device and inode are those in $JOURNAL_STREAM. */
static bool stderr_is_journal(void)
{
    const char *e = getenv("JOURNAL_STREAM");
    unsigned long long dev, ino;
    struct stat st;

    return e && sscanf(e, "%llu:%llu", &dev, &ino) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
           st.st_dev == dev && st.st_ino == ino;
}

void log_setup(const char *program)
{
    static const char *const names[] = {
            "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"};
    const char *level = getenv("DYNAPM_LOG_LEVEL");

    log_program = program;
    log_to_journal = stderr_is_journal();
    for (size_t i = 0; level && i < ELEMENTSOF(names); i++)
        if (streq(level, names[i]))
            log_max_level = (int) i;
}

void log_set_max_level(int level)
{
    log_max_level = level;
}

void log_set_object(const char *field)
{
    log_object = field;
}

int log_get_max_level(void)
{
    return log_max_level;
}

/* Escapes control characters in place of what fits; returns the new length. */
static size_t escape_controls(char *dst, size_t size, const char *src)
{
    size_t n = 0;

    for (; *src && n + 5 < size; src++) {
        unsigned char c = (unsigned char) *src;
        if (c < 0x20 || c == 0x7f)
            n += (size_t) snprintf(dst + n, size - n, "\\x%02x", c);
        else
            dst[n++] = (char) c;
    }
    dst[n] = 0;
    return n;
}

static void write_journal(int level, int error, const char *service, LogFields fields, char *message)
{
    struct iovec iov[FIELDS_MAX];
    char priority[16], errnum[24], name[128], identifier[64];
    int n = 0;

    iov[n++] = (struct iovec){message, strlen(message)};
    iov[n++] = (struct iovec){priority, (size_t) snprintf(priority, sizeof priority, "PRIORITY=%d", level)};
    int k = snprintf(identifier, sizeof identifier, "SYSLOG_IDENTIFIER=%s", log_program);
    iov[n++] = (struct iovec){identifier, MIN((size_t) k, sizeof identifier - 1)};
    if (log_object)
        iov[n++] = (struct iovec){(void *) log_object, strlen(log_object)};
    if (error)
        iov[n++] = (struct iovec){errnum, (size_t) snprintf(errnum, sizeof errnum, "ERRNO=%d", error)};
    if (service) {
        k = snprintf(name, sizeof name, "DYNAPM_SERVICE=%s", service);
        iov[n++] = (struct iovec){name, MIN((size_t) k, sizeof name - 1)};
    }
    for (; fields && *fields && n < FIELDS_MAX; fields++)
        iov[n++] = (struct iovec){(void *) *fields, strlen(*fields)};
    (void) sd_journal_sendv(iov, n);
}

int log_write(int level, int error, const char *service, LogFields fields, const char *format, ...)
{
    /* "MESSAGE=" stands before the text, so that the journal's field and the line on stderr are one buffer.
     */
    char raw[LINE_MAX_BYTES], line[STRLEN("MESSAGE=") + LINE_MAX_BYTES * 2];
    int saved = errno, e = error < 0 ? -error : error;
    size_t n = 0;
    va_list ap;

    if (service)
        n = MIN((size_t) snprintf(raw, sizeof raw, "%s: ", service), sizeof raw - 1);
    errno = e;
    va_start(ap, format);
    vsnprintf(raw + n, sizeof raw - n, format, ap);
    va_end(ap);

    memcpy(line, "MESSAGE=", STRLEN("MESSAGE="));
    n = STRLEN("MESSAGE=") +
        escape_controls(line + STRLEN("MESSAGE="), sizeof line - STRLEN("MESSAGE="), raw);

    if (log_to_journal)
        write_journal(level, e, service, fields, line);
    else {
        char head[64];
        size_t k = MIN((size_t) snprintf(head, sizeof head, "%s[%d]: ", log_program, (int) getpid()),
                sizeof head - 1);
        struct iovec iov[] = {
                {head, k}, {line + STRLEN("MESSAGE="), n - STRLEN("MESSAGE=")}, {(char *) "\n", 1}};
        (void) !writev(STDERR_FILENO, iov, 3);
    }
    errno = saved;
    return -e;
}
