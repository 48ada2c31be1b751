/* SPDX-License-Identifier: ISC */
#pragma once

/* The vocabulary that every file uses: clean-up attributes, ownership transfer, a few helpers that C lacks.
 */

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(fmt, args) __attribute__((format(printf, fmt, args)))
#define _pure_ __attribute__((pure))
#define _const_ __attribute__((const))

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define ELEMENTSOF(x) (sizeof(x) / sizeof((x)[0]))
#define STRLEN(literal) (sizeof("" literal "") - 1)
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define container_of(ptr, type, member) ((type *) ((char *) (ptr) -offsetof(type, member)))

/* Gives a value away: returns it and leaves nothing behind, so that a clean-up attribute does nothing. */
#define TAKE_GENERIC(var, nothing)                                                                           \
    ({                                                                                                       \
        typeof(var) *_p = &(var);                                                                            \
        typeof(var) _v = *_p;                                                                                \
        *_p = (nothing);                                                                                     \
        _v;                                                                                                  \
    })
#define TAKE_PTR(ptr) TAKE_GENERIC(ptr, NULL)
#define TAKE_FD(fd) TAKE_GENERIC(fd, -EBADF)

/* Defines `func##p`, for use as `_cleanup_(foo_freep) Foo *foo = NULL;`. */
#define DEFINE_CLEANUP(type, func)                                                                           \
    static inline void func##p(type *p)                                                                      \
    {                                                                                                        \
        if (*p)                                                                                              \
            func(*p);                                                                                        \
    }

static inline void freep(void *p)
{
    free(*(void **) p);
}
#define _cleanup_free_ _cleanup_(freep)

/* free() that returns NULL, for `return mfree(p)` and `p = mfree(p)`. */
#define mfree(memory)                                                                                        \
    ({                                                                                                       \
        free(memory);                                                                                        \
        (typeof(memory)) NULL;                                                                               \
    })

#define new0(type, n) ((type *) calloc((n), sizeof(type)))

static inline bool streq(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* Equality in which two NULLs are equal. */
static inline bool streq_ptr(const char *a, const char *b)
{
    return a && b ? streq(a, b) : a == b;
}

/* The rest of `s` after `prefix`, or NULL when `s` does not start with it. Points into `s`. */
static inline const char *startswith(const char *s, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

/* A fresh copy of n > 0 bytes that the caller frees; NULL when out of memory. */
static inline void *memdup_bytes(const void *p, size_t n)
{
    void *copy = malloc(n);
    return copy ? memcpy(copy, p, n) : NULL;
}
