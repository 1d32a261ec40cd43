"""The benchmark's records, verdicts and report, on made-up figures."""

import json

import pytest

from benchmarks import report
from benchmarks.first_calls import STEPS
from benchmarks.records import SECTIONS, Records
from benchmarks.workloads import WORKLOADS

ADD = "add two f32 vectors of 16"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2.0, "2.00 s"), (0.0123, "12.3 ms"), (4.56e-6, "4.56 us"), (123.4e-9, "123 ns"), (0.15, "150 ms")],
)
def test_durations(seconds, text):
    assert report.duration(seconds) == text


@pytest.mark.parametrize(
    ("reached", "bar", "text"),
    [(1.2, 1.2, "met"), (0.9, 1.2, "**short by 25 %**"), (1.0, None, "-"), (None, 2.0, "not measured")],
)
def test_verdicts(reached, bar, text):
    assert report.verdict(reached, bar) == text


def test_the_verdict_takes_the_worse_ratio_of_the_best_peer(tmp_path):
    records = Records(tmp_path / "records.json")
    systems = {
        "graphc": {"times": [1e-6, 2e-6, 2e-6]},
        "numpy": {"times": [2e-6, 2e-6, 2e-6]},
        "jax": {"times": [5e-6, 6e-6, 7e-6]},
        "torch": {"failed": "it | died", "times": [1e-9]},
    }
    records.merge("rows", ADD, systems, when="2026-01-01", rounds=3)
    text = report.write(records.data)
    (row,) = (line for line in text.splitlines() if line.startswith(f"| {ADD}") and "(numpy)" in line)
    assert row == f"| {ADD} | 1.00 us | 2.00 us (numpy) | 2.00 | 1.00 | 1 | met | - |"
    assert f"- {ADD}, torch: it / died" in text


def test_rows_measured_again_replace_only_themselves(tmp_path):
    path = tmp_path / "folder" / "records.json"
    first = Records(path)
    first.merge("rows", ADD, {"graphc": {"times": [1.0]}, "jax": {"times": [2.0]}})
    second = Records(path)
    second.merge("rows", ADD, {"graphc": {"times": [3.0]}})
    second.put("imports", "jax", {"times": [0.5]})
    data = json.loads(path.read_text())
    assert data["rows"][ADD]["systems"] == {"graphc": {"times": [3.0]}, "jax": {"times": [2.0]}}
    assert data["imports"] == {"jax": {"times": [0.5]}}


def test_an_empty_report_is_one():
    assert report.write({section: {} for section in SECTIONS}).startswith("# Performance")


def test_every_row_can_be_reported():
    times = {"graphc": {"times": [1e-3]}, "jax": {"times": [2e-3]}}
    rows = {name: {"systems": times} for name in WORKLOADS}
    machine = {"cpu": "x", "system": "s", "python": "3"} | {"cores": 2, "memory": 2**30, "threads": 2}
    measured = {"machine": {"this": machine | {"flops": 1e11, "bandwidth": 1e10}}, "rows": rows}
    text = report.write({section: {} for section in SECTIONS} | measured)
    assert all(f"| {name} | 1.00 ms | 2.00 ms (jax) | 2.00 | 2.00 |" in text for name in WORKLOADS)


def test_first_calls_and_memory_have_their_bars():
    dense, other = STEPS[0], STEPS[2]
    ours = {"cold": [0.2], "warm": [0.02], "megabytes": [90.0], "warm_megabytes": [50.0]}
    jax = {"cold": [0.3], "warm": [0.2], "megabytes": [80.0], "warm_megabytes": [80.0]}
    calls = {step: {"systems": {"graphc": ours, "jax": jax, "torch": {"failed": "x"}}} for step in (dense, other)}
    text = report.write({section: {} for section in SECTIONS} | {"first_calls": calls})
    assert f"| {dense} | 200 ms | 300 ms | failed | met |" in text
    assert f"| {other} | 200 ms | 300 ms | failed | **1.33x the bar** |" in text
    assert f"| {dense} | 20.0 ms | 200 ms | failed | met |" in text
    assert f"| {dense} | 90.0 / 50.0 | 80.0 / 80.0 | failed | met |" in text
    assert f"| {other} | 90.0 / 50.0 | 80.0 / 80.0 | failed | **1.12x the bar** |" in text


def test_what_was_tried_is_about_rows_that_there_are():
    from benchmarks.odd_sizes import LAYOUTS
    from benchmarks.tried import TRIED, TRIED_LAYOUTS

    assert set(TRIED) <= set(WORKLOADS) and set(TRIED_LAYOUTS) <= set(LAYOUTS)
    assert all(not text.endswith(".") for text in (*TRIED.values(), *TRIED_LAYOUTS.values()))


def test_what_was_tried_on_layouts_stands_below_those_that_miss_the_bar():
    slow = {"seconds": 3.0, "even": 1.0, "partner": "8, contiguous", "ratio": 3.0}
    fast = {**slow, "seconds": 1.0, "ratio": 1.0}
    cases = {"sum, 8, transposed": slow, "sum, 8, every second element": fast}
    text = report.write({section: {} for section in SECTIONS} | {"odd_sizes": cases})
    assert "- transposed: " in text and "- every second element: " not in text
