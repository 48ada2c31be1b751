/* SPDX-License-Identifier: ISC */
#pragma once

/* One table an enum, both ways. An enum ends in `_X_MAX, _X_INVALID = -EINVAL`; `x_to_string()` returns NULL
 * for what is out of range, `x_from_string()` returns -EINVAL for what it does not know. */

#include "util/macro.h"

#define DECLARE_STRING_TABLE(name, type)                                                                     \
    const char *name##_to_string(type v) _const_;                                                            \
    type name##_from_string(const char *s) _pure_;

#define DEFINE_STRING_TABLE(name, type)                                                                      \
    const char *name##_to_string(type v)                                                                     \
    {                                                                                                        \
        return v >= 0 && (size_t) v < ELEMENTSOF(name##_table) ? name##_table[v] : NULL;                     \
    }                                                                                                        \
    type name##_from_string(const char *s)                                                                   \
    {                                                                                                        \
        for (size_t i = 0; s && i < ELEMENTSOF(name##_table); i++)                                           \
            if (name##_table[i] && streq(name##_table[i], s))                                                \
                return (type) i;                                                                             \
        return (type) -EINVAL;                                                                               \
    }
