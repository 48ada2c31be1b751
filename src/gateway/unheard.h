/* SPDX-License-Identifier: ISC */
#pragma once

#include <stdbool.h>

/* Are there connections to the listening socket `fd` that the kernel keeps to itself, as their clients have
 * not said anything yet (TCP_DEFER_ACCEPT of tcp(7)), or not finished connecting? True as well where it does
 * not tell, and where another socket with the same port has some. */
bool unheard_are_there(int fd);
