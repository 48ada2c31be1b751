/* SPDX-License-Identifier: ISC */

/* What the service manager tells about a unit, and how that is said to people. No I/O. */

#include <signal.h>
#include <stdio.h>

#include "backend/systemd-internal.h"
#include "util/process.h"

static const char *const unit_result_table[_UNIT_RESULT_MAX] = {
        [UNIT_SUCCESS] = "success",
        [UNIT_RESOURCES] = "resources",
        [UNIT_PROTOCOL] = "protocol",
        [UNIT_TIMEOUT] = "timeout",
        [UNIT_EXIT_CODE] = "exit-code",
        [UNIT_SIGNAL] = "signal",
        [UNIT_CORE_DUMP] = "core-dump",
        [UNIT_WATCHDOG] = "watchdog",
        [UNIT_START_LIMIT] = "start-limit-hit",
        [UNIT_OOM_KILL] = "oom-kill",
        [UNIT_EXEC_CONDITION] = "exec-condition",
};
DEFINE_STRING_TABLE(unit_result, UnitResult)

UnitState unit_state_from_string(const char *s)
{
    static const struct {
        const char *name;
        UnitState state;
    } states[] = {{"active", UNIT_ACTIVE}, {"reloading", UNIT_ACTIVE}, {"refreshing", UNIT_ACTIVE},
            {"activating", UNIT_ACTIVATING}, {"deactivating", UNIT_DEACTIVATING}, {"failed", UNIT_FAILED}};

    for (size_t i = 0; i < ELEMENTSOF(states); i++)
        if (streq(s, states[i].name))
            return states[i].state;
    return UNIT_INACTIVE;
}

static int read_string(sd_bus_message *m, const char **ret)
{
    return sd_bus_message_read(m, "v", "s", ret);
}

static int read_one(UnitStatus *s, const char *key, sd_bus_message *m)
{
    const char *text;
    uint32_t pid;
    int r, b;

    if (streq(key, "ActiveState")) {
        if ((r = read_string(m, &text)) > 0)
            s->state = unit_state_from_string(text);
    } else if (streq(key, "SubState")) {
        if ((r = read_string(m, &text)) > 0)
            s->exited = streq(text, "exited");
    } else if (streq(key, "Type")) {
        if ((r = read_string(m, &text)) > 0)
            s->notifies = streq(text, "notify") || streq(text, "notify-reload") || streq(text, "dbus");
    } else if (streq(key, "Result")) {
        if ((r = read_string(m, &text)) > 0)
            s->result = unit_result_from_string(text); /* one of a later systemd: _UNIT_RESULT_INVALID */
    } else if (streq(key, "MainPID")) {
        if ((r = sd_bus_message_read(m, "v", "u", &pid)) > 0)
            s->main_pid = (pid_t) pid;
    } else if (streq(key, "Transient")) {
        if ((r = sd_bus_message_read(m, "v", "b", &b)) > 0)
            s->transient = b;
    } else if (streq(key, "ConditionResult")) {
        if ((r = sd_bus_message_read(m, "v", "b", &b)) > 0)
            s->condition_failed = !b;
    } else if (streq(key, "ExecMainCode"))
        r = sd_bus_message_read(m, "v", "i", &s->exit_code);
    else if (streq(key, "ExecMainStatus"))
        r = sd_bus_message_read(m, "v", "i", &s->exit_status);
    else
        r = sd_bus_message_skip(m, "v");
    return r;
}

int unit_status_read(UnitStatus *s, sd_bus_message *m)
{
    const char *key;

    int r = sd_bus_message_enter_container(m, 'a', "{sv}");
    while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0)
        if ((r = sd_bus_message_read(m, "s", &key)) < 0 || (r = read_one(s, key, m)) < 0 ||
                (r = sd_bus_message_exit_container(m)) < 0)
            return r;
    return r < 0 ? r : sd_bus_message_exit_container(m);
}

#define NOT_EXECUTED 203 /* EXIT_EXEC of systemd.exec(5) */

/* systemd.exec(5), "Process Exit Codes": what went wrong before the program was executed. */
static const char *before_exec(int status)
{
    switch (status) {
    case 200:
        return "its working directory cannot be entered";
    case NOT_EXECUTED:
        return "its program cannot be executed";
    case 216:
        return "its group is not known";
    case 217:
        return "its user is not known";
    case 226:
        return "its mount name space cannot be set up";
    default:
        return NULL;
    }
}

const char *unit_end_format(char buf[static UNIT_END_STRING_MAX], const UnitStatus *s)
{
    const char *text = NULL;
    char end[PROCESS_END_STRING_MAX];

    switch (s->result) {
    case UNIT_RESOURCES:
        text = "what it needs could not be set up";
        break;
    case UNIT_PROTOCOL:
        text = "it did not do what its Type= promises";
        break;
    case UNIT_TIMEOUT:
        text = "a time limit of its unit was exceeded";
        break;
    case UNIT_WATCHDOG:
        text = "its watchdog expired";
        break;
    case UNIT_START_LIMIT:
        text = "it was started too often in too short a time";
        break;
    case UNIT_OOM_KILL:
        text = "killed by the kernel for want of memory";
        break;
    case UNIT_EXEC_CONDITION:
        text = "its ExecCondition= does not hold";
        break;
    default:
        if (s->exit_code == 0)
            text = s->result == UNIT_SUCCESS ? "stopped" : "it failed";
        else if (s->exit_code == CLD_EXITED && before_exec(s->exit_status)) {
            snprintf(buf, UNIT_END_STRING_MAX, "%s (exit status %d)", before_exec(s->exit_status),
                    s->exit_status);
            return buf;
        } else
            text = process_end_format(
                    end, &(const siginfo_t){.si_code = s->exit_code, .si_status = s->exit_status});
    }
    snprintf(buf, UNIT_END_STRING_MAX, "%s", text);
    return buf;
}

/* As unit_end_format(), with the name of a program of ours that could not be executed. That comes last: what
 * does not fit of it is cut off. */
static const char *start_failure_format(char buf[static UNIT_END_STRING_MAX], const Unit *u)
{
    const UnitStatus *s = &u->status;

    unit_end_format(buf, s);
    if (u->job.kind == JOB_START_TRANSIENT && s->result == UNIT_EXIT_CODE && s->exit_code == CLD_EXITED &&
            s->exit_status == NOT_EXECUTED) {
        size_t n = strlen(buf);
        snprintf(buf + n, UNIT_END_STRING_MAX - n, ": %s", u->job.spec->argv[0]);
    }
    return buf;
}

const char *job_result_format(char buf[static UNIT_END_STRING_MAX], const char *result, const Unit *u)
{
    const UnitStatus *s = &u->status;
    bool starts = u->job.kind != JOB_STOP;

    if (streq(result, "done") || (!starts && streq(result, "skipped"))) {
        if (!starts || s->state == UNIT_ACTIVE || s->state == UNIT_ACTIVATING)
            return NULL;
        if (s->condition_failed)
            return "a condition of its unit is not met";
        return u->job.kind == JOB_START_TRANSIENT && streq(u->job.spec->type, "oneshot")
                       ? NULL
                       : start_failure_format(buf, u);
    }
    if (streq(result, "failed"))
        return start_failure_format(buf, u);
    if (streq(result, "dependency"))
        return "a unit that it needs could not be started";
    if (streq(result, "timeout"))
        return "its job took too long";
    if (streq(result, "canceled"))
        return starts ? "its start was cancelled by somebody else"
                      : "its stop was cancelled by somebody else";
    if (streq(result, "assert"))
        return "an assertion of its unit does not hold";
    if (streq(result, "unsupported"))
        return "units of its type are not supported here";
    snprintf(buf, UNIT_END_STRING_MAX, "its job ended with the result \"%s\"", result);
    return buf;
}
