# SPDX-License-Identifier: ISC
"""What run-rejections makes of what it has seen."""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

sys.dont_write_bytecode = True
FOLDER = Path(__file__).parent
sys.path.append(str(FOLDER))
loader = importlib.machinery.SourceFileLoader("run_rejections", str(FOLDER / "run-rejections"))
module = importlib.util.module_from_spec(importlib.util.spec_from_loader("run_rejections", loader))
loader.exec_module(module)
Outcome, Arrival = module.Outcome, module.runner.Arrival

REFUSED = Outcome(400, True, 1, (), 0)
PASSED = Outcome(200, False, 1, (b"GET / HTTP/1.1",), 0)


def test_an_outcome_is_read_off_both_sides():
    answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nno\n"
    assert module.outcome(answer, True, b"GET /probe HTTP/1.1", [Arrival(b"GET /probe HTTP/1.1", (), b"", 9)], 0) == REFUSED
    both = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n/" * 2
    came = [Arrival(b"GET / HTTP/1.1", (), b"", 9), Arrival(b"GET /smuggled HTTP/1.1", (), b"", 9)]
    o = module.outcome(both, False, b"", came, 5)
    assert (o.status, o.answers, o.arrived, o.rest) == (200, 2, (b"GET / HTTP/1.1", b"GET /smuggled HTTP/1.1"), 5)
    assert module.outcome(b"", True, b"", [], 0).status == 0


def test_an_outcome_is_shown_with_what_came_through():
    assert str(REFUSED) == "400 ✕"
    assert str(PASSED) == "200 → GET /"
    assert str(Outcome(0, True, 0, (), 7)) == "– ✕ → 7 bytes"


def test_only_what_others_refuse_needs_a_decision():
    assert module.row("a|b", [REFUSED, PASSED]) == ["a\\|b", "400 ✕", "200 → GET /", ""]
    assert module.row("an empty query", [PASSED, REFUSED])[-1] == module.DECISIONS["an empty query"]
    assert module.row("never heard of", [PASSED, REFUSED])[-1] == "**undecided**"


def test_what_all_do_alike_is_left_out_unless_asked_for():
    results = [("T", [("same", [REFUSED, REFUSED]), ("other", [REFUSED, PASSED]), ("odd", [PASSED, REFUSED])])]
    text, undecided = module.render(["us", "them"], results, False)
    assert "| same" not in text and "| other" in text and "Refused of 3: us 2, them 2" in text and undecided == ["odd"]
    assert "| same" in module.render(["us", "them"], results, True)[0]
