# SPDX-License-Identifier: ISC
"""The large bodies, as the service apps/bulk.py makes them and as a test expects them."""

import functools
import hashlib
import random

MIB = 1 << 20
PATTERN = random.Random(1).randbytes(MIB - 8)


def pieces(n):
    """n MiB, each beginning with its number, so that loss, repetition and reordering change the digest."""
    for i in range(n):
        yield i.to_bytes(8, "big") + PATTERN


@functools.cache
def digest(n):
    sha = hashlib.sha256()
    for piece in pieces(n):
        sha.update(piece)
    return sha.hexdigest()
