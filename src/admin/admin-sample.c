/* SPDX-License-Identifier: ISC */

/* Once a second a thousand services are read here while requests wait: numbers are read and hashed, and JSON
 * is made only of services that are another than they were. */

#include "admin/admin-sample.h"

#include "admin/admin-service.h"
#include "ipc/counters.h"

#define NUMBERS 14

/* In the order of Sample, see ipc/bus.h; NULL: is not told. */
typedef struct Number {
    const char *json;
    uint64_t divisor;
    bool none_is_0;
} Number;

static const Number numbers[NUMBERS] = {
        {NULL, 0, false}, /* since */
        {"idleDeadline", 1000, true},
        {"activeConnections", 1, false},
        {"waiting", 1, false},
        {"requests", 1, false},
        {"bytesReceived", 1, false},
        {"bytesSent", 1, false},
        {"memoryCurrent", 1, false},
        {"cpuUsage", 1000000, false},
};

/* Which of them are counted into the hash: `online` and `asleep` grow by themselves. */
#define HASHED 9

typedef struct Sample {
    const char *name, *state;
    uint64_t n[NUMBERS], duration_sum;
    const uint64_t *classes, *durations;
    size_t classes_size, durations_size;
} Sample;

static uint64_t hash_bytes(uint64_t h, const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ ((const uint8_t *) p)[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
    return h;
}

static uint64_t hash(const Sample *s)
{
    uint64_t h = hash_bytes(UINT64_C(0xcbf29ce484222325), s->name, strlen(s->name));

    h = hash_bytes(h, s->n + 1, (HASHED - 1) * sizeof *s->n);
    h = hash_bytes(h, s->classes, s->classes_size);
    return hash_bytes(h, s->durations, s->durations_size);
}

static int read_sample(sd_bus_message *m, Sample *s)
{
    uint64_t *n = s->n;
    int r;

    r = sd_bus_message_enter_container(m, 'r', "ssttttttttttttttatatt");
    if (r <= 0)
        return r;
    if ((r = sd_bus_message_read(m, "sstttttttttttttt", &s->name, &s->state, &n[0], &n[1], &n[2], &n[3],
                 &n[4], &n[5], &n[6], &n[7], &n[8], &n[9], &n[10], &n[11], &n[12], &n[13])) < 0 ||
            (r = sd_bus_message_read_array(m, 't', (const void **) &s->classes, &s->classes_size)) < 0 ||
            (r = sd_bus_message_read_array(m, 't', (const void **) &s->durations, &s->durations_size)) < 0 ||
            (r = sd_bus_message_read(m, "t", &s->duration_sum)) < 0 ||
            (r = sd_bus_message_exit_container(m)) < 0)
        return r;
    return 1;
}

static bool add_classes(json_object *o, const Sample *s)
{
    json_object *classes = json_object_new_object();

    for (size_t i = 0; classes && i < s->classes_size / sizeof *s->classes && i < _REQUEST_CLASS_MAX; i++)
        if (!admin_json_add(classes, request_class_to_string((RequestClass) i),
                    json_object_new_uint64(s->classes[i]))) {
            json_object_put(classes);
            return false;
        }
    return classes && admin_json_add(o, "requestsByClass", classes);
}

static bool add_durations(json_object *o, const Sample *s)
{
    json_object *durations = json_object_new_object(), *bounds = json_object_new_array(),
                *counts = json_object_new_array();
    bool good = durations && bounds && counts;

    for (size_t i = 0; good && i < DURATION_BUCKETS - 1; i++)
        good = json_object_array_add(bounds, json_object_new_double((double) duration_bounds[i] / 1000)) == 0;
    for (size_t i = 0; good && i < s->durations_size / sizeof *s->durations; i++)
        good = json_object_array_add(counts, json_object_new_uint64(s->durations[i])) == 0;
    if (!good) {
        json_object_put(durations);
        json_object_put(bounds);
        json_object_put(counts);
        return false;
    }
    good = admin_json_add(durations, "bounds", bounds);
    good = admin_json_add(durations, "counts", counts) && good;
    good = admin_json_add(durations, "sum", json_object_new_uint64(s->duration_sum / 1000)) && good;
    return admin_json_add(o, "durations", durations) && good;
}

static json_object *sample_json(const Sample *s)
{
    json_object *o = json_object_new_object();
    bool good = o && admin_json_add(o, "name", json_object_new_string(s->name));

    for (size_t i = 0; good && i < NUMBERS; i++) {
        const Number *n = &numbers[i];
        bool none = s->n[i] == UINT64_MAX || (n->none_is_0 && s->n[i] == 0);
        if (n->json)
            good = admin_json_add(o, n->json, none ? NULL : json_object_new_uint64(s->n[i] / n->divisor));
    }
    if (good && add_classes(o, s) && add_durations(o, s))
        return o;
    json_object_put(o);
    return NULL;
}

void admin_samples_done(AdminSamples *s)
{
    free(s->seen);
    *s = (AdminSamples){};
}

/* Is the at-th another than it was? */
static int note(AdminSamples *s, size_t at, uint64_t h)
{
    if (at < s->n) {
        bool another = s->seen[at] != h;
        s->seen[at] = h;
        return another;
    }
    /* Doubles whenever a power of two is reached. */
    if ((s->n & (s->n - 1)) == 0) {
        uint64_t *grown = reallocarray(s->seen, s->n ? s->n * 2 : 1, sizeof *grown);
        if (!grown)
            return -ENOMEM;
        s->seen = grown;
    }
    s->seen[s->n++] = h;
    return 1;
}

int admin_samples_read(AdminSamples *s, sd_bus_message *m, json_object **ret)
{
    json_object *changed = json_object_new_array();
    uint64_t realtime, monotonic;
    Sample sample;
    size_t at = 0;

    int r = changed ? sd_bus_message_read(m, "tt", &realtime, &monotonic) : -ENOMEM;
    if (r >= 0)
        r = sd_bus_message_enter_container(m, 'a', "(ssttttttttttttttatatt)");
    while (r >= 0 && (r = read_sample(m, &sample)) > 0) {
        r = note(s, at++, hash(&sample));
        if (r <= 0)
            continue;
        json_object *o = sample_json(&sample);
        if (!o || json_object_array_add(changed, o) < 0) {
            json_object_put(o);
            r = -ENOMEM;
        }
    }
    if (r < 0) {
        json_object_put(changed);
        return r;
    }
    *ret = changed;
    return 0;
}
