# SPDX-License-Identifier: ISC
"""Integration tests run the real programs of the build folder $DYNAPM_BUILD_DIR; see tests/README.md."""

import pytest

from harness import Gateway, Site, gateway, process
from harness.installed import Installed, InstalledWithUnits, available

process.allow_many_descriptors()
# What `site` makes: dynapm --standalone, or the installed dynapm, its services as transient units or as units.
KINDS = {"standalone": Gateway, "transient": Installed, "unit": InstalledWithUnits}


def pytest_addoption(parser):
    parser.addoption("--services", choices=KINDS, default="standalone",
                     help="run dynapm --standalone, or by systemd, with services that are transient units or units")


def pytest_configure(config):
    config.addinivalue_line("markers", "standalone_only(reason): means nothing where systemd runs dynapm")
    config.addinivalue_line("markers", "not_as_units(reason): nor where services are units")


def pytest_sessionstart(session):
    if not gateway.PROGRAM.exists():
        pytest.exit(f"{gateway.PROGRAM} is not there: build it, or set DYNAPM_BUILD_DIR", returncode=2)
    if session.config.getoption("services") != "standalone" and not available():
        pytest.exit("these tests would change the machine they run on: use tests/bed/run", returncode=2)


def pytest_collection_modifyitems(config, items):
    services = config.getoption("services")
    marks = {"standalone": (), "transient": ("standalone_only",), "unit": ("standalone_only", "not_as_units")}[services]
    left_out = [item for item in items if any(item.get_closest_marker(mark) for mark in marks)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def site(request):
    """Services and gateways of one test; at the end every gateway must have left cleanly."""
    s = Site(KINDS[request.config.getoption("services")])
    yield s
    s.finish()


@pytest.fixture(scope="module")
def shared_site(request):
    """The same for all tests of a file."""
    s = Site(KINDS[request.config.getoption("services")])
    yield s
    s.finish()
