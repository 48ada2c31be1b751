/* SPDX-License-Identifier: ISC */
#pragma once

/* One way to say things. When stderr is the journal (JOURNAL_STREAM, systemd.exec(5)) a line goes there with
 * its fields; else it is one readable line on stderr, its level as the "<N>" prefix only where a journal
 * would strip it. */

#include <syslog.h>

#include "util/macro.h"

/* Reads $JOURNAL_STREAM, and the level below which lines are dropped from $DYNAPM_LOG_LEVEL ("debug", "info",
 * "notice", "warning", "err"; default info). `program` is the name lines carry on stderr; it is not copied.
 */
void log_setup(const char *program);
void log_set_max_level(int level);
int log_get_max_level(void) _pure_;
/* The journal shows our lines with those of another unit, too: `field` is "OBJECT_SYSTEMD_UNIT=NAME", which
 * journalctl -u believes from root, or "OBJECT_SYSTEMD_USER_UNIT=NAME", which it believes from the same user:
 * systemd.journal-fields(7). It is not copied; NULL is none. */
void log_set_object(const char *field);

/* Journal fields that go with a line: "KEY=value" strings, NULL-terminated, or NULL for none. */
typedef const char *const *LogFields;

/* Writes one line. `service` (may be NULL) becomes the prefix "NAME: " and the field DYNAPM_SERVICE=. %m in
 * the format is the error's text. Control characters are escaped, so that what a client sent cannot forge a
 * line. Returns -|error|. */
int log_write(int level, int error, const char *service, LogFields fields, const char *format, ...)
        _printf_(5, 6);

#define log_full(level, error, service, fields, ...)                                                         \
    ({                                                                                                       \
        int _l = (level), _e = (error);                                                                      \
        _l <= log_get_max_level() ? log_write(_l, _e, service, fields, __VA_ARGS__) : (_e > 0 ? -_e : _e);   \
    })

#define log_debug(...) log_full(LOG_DEBUG, 0, NULL, NULL, __VA_ARGS__)
#define log_info(...) log_full(LOG_INFO, 0, NULL, NULL, __VA_ARGS__)
#define log_notice(...) log_full(LOG_NOTICE, 0, NULL, NULL, __VA_ARGS__)
#define log_warning(...) log_full(LOG_WARNING, 0, NULL, NULL, __VA_ARGS__)
#define log_error(...) log_full(LOG_ERR, 0, NULL, NULL, __VA_ARGS__)
#define log_debug_errno(e, ...) log_full(LOG_DEBUG, e, NULL, NULL, __VA_ARGS__)
#define log_warning_errno(e, ...) log_full(LOG_WARNING, e, NULL, NULL, __VA_ARGS__)
#define log_error_errno(e, ...) log_full(LOG_ERR, e, NULL, NULL, __VA_ARGS__)
#define log_oom() log_error_errno(ENOMEM, "Out of memory.")

/* The same about one service, by name. */
#define log_service_debug(service, ...) log_full(LOG_DEBUG, 0, service, NULL, __VA_ARGS__)
#define log_service_info(service, ...) log_full(LOG_INFO, 0, service, NULL, __VA_ARGS__)
#define log_service_warning(service, ...) log_full(LOG_WARNING, 0, service, NULL, __VA_ARGS__)
#define log_service_error(service, ...) log_full(LOG_ERR, 0, service, NULL, __VA_ARGS__)
#define log_service_warning_errno(service, e, ...) log_full(LOG_WARNING, e, service, NULL, __VA_ARGS__)
#define log_service_error_errno(service, e, ...) log_full(LOG_ERR, e, service, NULL, __VA_ARGS__)
