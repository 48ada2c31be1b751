# SPDX-License-Identifier: ISC
"""Tests in here run as root on a machine of their own, whose systemd is theirs: tests/bed/run makes it."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from machine import Machine  # noqa: E402


def pytest_sessionstart(session):
    if os.environ.get("DYNAPM_BED") != "1":
        pytest.exit("these tests change the machine they run on: use tests/bed/run", returncode=2)


@pytest.fixture
def machine():
    """The machine; put back in order after the test."""
    m = Machine()
    yield m
    m.reset()
