# SPDX-License-Identifier: ISC
"""The table of hostile and of unusual requests against the real gateway, whole and byte by byte."""

import pytest

import hostile_runner as runner
import hostile_table as table
from harness.gateway import library_version

WAYS = pytest.mark.parametrize("piece", [None, 1], ids=["whole", "byte by byte"])


@pytest.fixture(scope="module")
def recorder():
    r = runner.Recorder()
    yield r
    r.close()


@pytest.fixture(scope="module")
def address(shared_site, recorder):
    service = {"hosts": [table.NAME, table.OTHER], "base": f"http://127.0.0.1:{recorder.port}", "proxyOnly": True}
    return shared_site.gateway(files={"table.json": service}).address


def cases(entries):
    return pytest.mark.parametrize("case", [pytest.param(c, id=c.name) for c in entries])


@WAYS
@cases(table.BAD)
def test_it_is_refused_and_nothing_of_it_reaches_the_service(address, recorder, case, piece):
    _, complaints = runner.judge_bad(address, recorder, case, piece)
    assert not complaints


@WAYS
@cases(table.BAD_BODY)
def test_a_bad_body_never_arrives_as_a_whole_one(address, recorder, case, piece):
    _, complaints = runner.judge_bad_body(address, recorder, case, piece)
    assert not complaints


@WAYS
@cases(table.GOOD)
def test_what_is_unusual_but_right_arrives_as_it_was_sent(address, recorder, case, piece):
    if case.extended and library_version() >= (1, 0, 0):
        pytest.skip("libmicrohttpd 1.0 refuses chunk extensions")
    _, complaints = runner.judge_good(address, recorder, case, piece)
    assert not complaints
