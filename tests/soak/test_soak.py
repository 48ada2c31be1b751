# SPDX-License-Identifier: ISC
"""Some seconds of what `tests/soak/run` does for an hour."""

import sys
from pathlib import Path

sys.path += [str(Path(__file__).parents[1] / "integration"), str(Path(__file__).parent)]

from harness import Site, process
from harness.gateway import sanitized
from soak import soak
from stage import Stage


def test_nothing_is_left_of_a_mixed_attack_and_the_good_client_is_always_served():
    process.allow_many_descriptors()
    site = Site()
    try:
        stage = Stage(site, 9112, span=4.0 if sanitized() else 2.0)
        try:
            assert not soak(stage, 9112, 8, 25, print)
        finally:
            stage.close()
    finally:
        site.finish()
