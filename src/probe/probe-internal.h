/* SPDX-License-Identifier: ISC */
#pragma once

/* Between probe.c, which owns time (retries, limits, the report), and the kinds of probe, each of which makes
 * one attempt at a time. */

#include "probe/probe.h"

typedef struct ProbeVTable {
    /* Makes an attempt. Ends it with exactly one probe_attempt_done(), now or later, unless it is cancelled.
     */
    void (*attempt)(Probe *p);
    /* Drops what an attempt holds; also called when none is under way, and after its end. NULL: nothing. */
    void (*cancel)(Probe *p);
} ProbeVTable;

extern const ProbeVTable probe_tcp_vtable, probe_http_vtable, probe_command_vtable;

/* A connection attempt to the endpoint's addresses, one after the other. */
typedef struct Connector {
    void (*connected)(Probe *p);
    size_t next; /* address to try next */
    int fd;      /* -EBADF: none */
    sd_event_source *io;
} Connector;

#define PROBE_ERROR_MAX 256

struct Probe {
    const ProbeVTable *vtable;
    ProbeContext context;
    const ServiceConfig *config;
    ProbeDone done;
    void *userdata;

    ProbeMode mode;
    bool running;   /* between probe_start() and the report */
    bool starting;  /* in probe_start(): a result must wait for the loop */
    usec_t started; /* CLOCK_MONOTONIC */
    int result;     /* to report, of an attempt that ended in probe_start() */
    char last_error[PROBE_ERROR_MAX];
    sd_event_source *pause;  /* until the next attempt */
    sd_event_source *limit;  /* of this attempt */
    sd_event_source *report; /* deferred result */

    Connector connector; /* tcp, http */
    struct HttpAttempt *http;
    Command *command;
};

/* Ends the attempt: r = 0 is success; for r < 0, `why` is said. May free the probe: comes last. */
void probe_attempt_done(Probe *p, int r, const char *why);

/* Connects to the first of the endpoint's addresses that accepts and calls `connected`, with the socket in
 * p->connector.fd; when none does, ends the attempt. Either may happen before it returns. */
void probe_connect(Probe *p, void (*connected)(Probe *p));
/* Closes the socket and drops its event source, p->connector.io. */
void probe_disconnect(Probe *p);
