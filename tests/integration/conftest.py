# SPDX-License-Identifier: ISC
"""Integration tests run the real programs of the build folder $DYNAPM_BUILD_DIR; see tests/README.md."""

import pytest

from harness import Site, gateway, process

process.allow_many_descriptors()


def pytest_sessionstart(session):
    if not gateway.PROGRAM.exists():
        pytest.exit(f"{gateway.PROGRAM} is not there: build it, or set DYNAPM_BUILD_DIR", returncode=2)


@pytest.fixture
def site():
    """Services and gateways of one test; at the end every gateway must have left cleanly."""
    s = Site()
    yield s
    s.finish()
