# SPDX-License-Identifier: ISC
"""The parsing and arithmetic under the measurements."""

import os
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import chart  # noqa: E402
import measure  # noqa: E402

WRK = """Running 5s test @ http://127.0.0.1:18999/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    72.28us   65.66us   2.16ms   97.32%
    Req/Sec    87.66k     9.38k   97.97k    70.00%
  Latency Distribution
     50%   65.00us
     75%    0.88ms
     90%  109.00us
     99%    1.68s
  87126 requests in 5.01s, 10.97MB read
Requests/sec:  17390.42
Transfer/sec:     10.97MB
"""


def test_wrk_output_is_read():
    r = measure.parse_wrk(WRK)
    assert r == {"requests": 87126, "seconds": 5.01, "bytes": 10.97 * (1 << 20), "rps": 17390.42, "p50": pytest.approx(65e-6), "p99": 1.68,
                 "errors": 0}


def test_errors_and_bad_answers_are_counted():
    text = WRK + "  Socket errors: connect 1, read 20, write 300, timeout 4000\n  Non-2xx or 3xx responses: 50000\n"
    assert measure.parse_wrk(text)["errors"] == 54321


def test_a_long_run_is_given_in_minutes():
    assert measure.parse_wrk(WRK.replace("in 5.01s,", "in 1.50m,"))["seconds"] == 90


def test_the_log_of_h2load_is_read():
    text = "".join(f"17955\t200\t{micros}\n" for micros in range(1, 101)) + "17956\t503\t9999\n17957\t-1\t1\n"
    assert measure.parse_h2load_log(text) == {"requests": 100, "errors": 2, "p50": pytest.approx(50e-6),
                                              "p99": pytest.approx(99e-6)}
    assert measure.parse_h2load_log("")["p50"] is None


def test_a_quantile_is_one_of_the_values():
    assert [measure.quantile([3, 1, 2], q) for q in (0, 0.34, 0.5, 0.99, 1)] == [1, 2, 2, 3, 3]


def test_a_ratio_is_to_the_best_of_the_peers_that_were_measured():
    runs = {"ours": [9.0], "a": [10.0], "b": [20.0], "other": [1.0]}
    assert measure.ratio(runs, "ours", ("a", "b", "absent")) == "0.90 ×"
    assert measure.ratio(runs, "ours", ("a", "b"), more_is_better=True) == "0.45 ×"
    assert measure.ratio(runs, "ours", ("absent",)) == measure.ratio({"a": [1]}, "ours", ("a",)) == "–"
    assert measure.ratio({"ours": [1.0], "a": [0.0]}, "ours", ("a",)) == "–"


def test_a_ratio_compares_within_the_rounds():
    runs = {"ours": [8.0, 80.0, 9.0], "a": [10.0, 100.0, 9.0], "b": [11.0, 10.0, 11.0]}
    assert measure.ratio(runs, "ours", ("a",)) == "0.80 ×"


def test_what_the_manager_and_the_kernel_say_is_read():
    assert measure.parse_loaded("x[1]: 1 service loaded in 0 ms.\n") == 0
    assert measure.parse_loaded("x[1]: 10000 services loaded in 238 ms.\nmore") == pytest.approx(0.238)
    assert measure.parse_span("1min 2s 3.5ms") == pytest.approx(62.0035)
    assert measure.parse_switches("Name:\tx\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t3\n") == 12


def test_lines_of_meminfo_are_added_up():
    text = "MemTotal:  24685 kB\nSlab:   100 kB\nKernelStack:   20 kB\n"
    assert measure.parse_meminfo(text, "Slab", "KernelStack") == 120 * 1024


def test_a_chart_is_well_formed_and_its_longest_bar_the_largest_number():
    svg = ElementTree.fromstring(chart.bars('A "b" & <c>', "µs", {"dynapm": (1.0, "1.0"), "x & y": (4.0, "4.0"), "0": (0, "0")}))
    bars = [(r.get("class"), float(r.get("width"))) for r in svg.iter("{http://www.w3.org/2000/svg}rect")]
    assert [c for c, _ in bars] == ["ours", "bar", "bar"]
    assert bars[1][1] == pytest.approx(4 * bars[0][1], rel=0.01) and bars[2][1] == 1
    assert [t.text for t in svg.iter("{http://www.w3.org/2000/svg}text")][:2] == ['A "b" & <c>', "µs"]


def test_a_chart_of_nothing_can_be_drawn():
    ElementTree.fromstring(chart.bars("nothing", "", {}))
    ElementTree.fromstring(chart.bars("zero", "", {"dynapm": (0, "0")}))


def test_a_command_name_with_spaces_and_brackets_does_not_confuse():
    text = "42 (a) R (b) S 17 42 42 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 1 0 100"
    state, parent, seconds = measure.parse_stat(text)
    assert (state, parent) == ("S", 17)
    assert seconds == pytest.approx(300 / measure.CLOCK_TICKS)


def test_pss_is_read_in_bytes():
    text = "5581e0000000-7ffd00000000 ---p 00000000 00:00 0  [rollup]\nRss:    5000 kB\nPss:    1234 kB\nPss_Anon: 9 kB\n"
    assert measure.parse_pss(text) == 1234 * 1024


def test_spread_is_half_the_distance_of_the_quartiles():
    assert measure.spread([10, 10, 10, 10]) == 0
    assert measure.spread([8, 9, 10, 11, 12]) == pytest.approx(0.1)
    assert measure.spread([5]) == 0


def test_a_table_is_markdown():
    assert measure.table(["proxy", "µs"], [["nginx", 1.5], ["x", 10]]) == (
        "| proxy |  µs |\n|-------|----:|\n| nginx | 1.5 |\n| x     |  10 |")


def test_own_cost_is_measured():
    before = measure.cpu_seconds([os.getpid()])
    while measure.cpu_seconds([os.getpid()]) - before < 0.02:
        sum(range(1000))
    assert os.getpid() in measure.family(os.getppid())
    assert measure.pss([os.getpid()]) > 1 << 20
