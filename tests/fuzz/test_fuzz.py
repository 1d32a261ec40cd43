"""Fresh random graphs in every run, and every graph that has once failed.

`GRAPHC_FUZZ_BASE` sets the first seed (by default today's date times 10,000), `GRAPHC_FUZZ_SEEDS` how many.
Seeds are shared between the processors, and dealt in parts, so that pytest-xdist can share them too.
"""

import datetime
import os
from pathlib import Path

import pytest

from .check import Settings, check
from .run import run, save_failure
from .storage import load

BASE = int(os.environ.get("GRAPHC_FUZZ_BASE") or int(f"{datetime.date.today():%Y%m%d}") * 10_000)
COUNT = int(os.environ.get("GRAPHC_FUZZ_SEEDS") or 1000)
PARTS = 4
REGRESSIONS = sorted((Path(__file__).parent / "regressions").glob("*.gir"))


@pytest.mark.parametrize("part", range(PARTS))
def test_fresh_graphs_agree(part, tmp_path):
    seeds = range(BASE + part, BASE + COUNT, PARTS)
    jobs = 1 if "PYTEST_XDIST_WORKER" in os.environ else min(2, os.cpu_count() or 1)
    failures = [(seed, failure) for seed, failure, _ in run(seeds, jobs) if failure is not None]
    lines = []
    for seed, failure in failures[:3]:
        path = save_failure(seed, failure, tmp_path, seconds=15)
        lines += [f"seed {seed}: {failure.kind} in {failure.where}: {failure.message}", failure.detail]
        lines += [path.read_text(encoding="utf-8"), f"saved as {path}"] if path else []
    again = "python -m tests.fuzz.run --seed " + " or ".join(str(seed) for seed, _ in failures[:9])
    assert not failures, "\n".join([f"{len(failures)} of {len(seeds)} graphs fail; {again}", *lines])


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda p: p.stem)
@pytest.mark.parametrize("skip", [(), ("fuse",), ("simplify", "stabilize")], ids=["all passes", "no fuse", "no rules"])
def test_what_once_failed_agrees(path, skip):
    failure = check(load(path), Settings(skip=frozenset(skip), check=2))
    assert failure is None, f"{failure.kind} in {failure.where}: {failure.message}\n{failure.detail}"
