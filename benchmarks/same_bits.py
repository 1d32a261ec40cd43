"""Do results have the same bits with 1, 2, 3 and 4 threads? Every workload in graphc, at the sizes of the table.

    python -m benchmarks.same_bits [--only matmul] [--small]

Each number of threads has a process of its own. The status is 1 if bits differ anywhere.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import report
from benchmarks.processes import CHECKOUT, DiedError
from benchmarks.records import Records, default_path
from benchmarks.rounds import Plan
from benchmarks.workloads import WORKLOADS

THREADS = (1, 2, 3, 4)


def digests(workload: str, small: bool, threads: Sequence[int] = THREADS) -> dict[int, str]:
    """A hash of all results for each number of threads, or why there is none.

    For training steps the results are loss and parameters after some steps.
    """
    found = {}
    for number in threads:
        with Plan(threads=number, small=small).start("graphc", workload) as worker:
            try:
                prepared = worker.ask("prepare", 120.0)
                found[number] = prepared.get("failed") or worker.ask("digest", 120.0).get("digest", "no digest")
            except DiedError as error:
                found[number] = str(error)
    return found


def verdict(found: dict[int, str]) -> str:
    """Whether all are the same, in words."""
    failed = next((text for text in found.values() if len(text) != 64), None)
    if failed:
        return f"not measured: {failed}"
    return "the same" if len(set(found.values())) == 1 else f"**differ**: {found}"


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="whose name has this text")
    parser.add_argument("--small", action="store_true", help="the sizes of a test; nothing is recorded")
    parser.add_argument("--data", type=Path, default=default_path(), help="file of records (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=CHECKOUT / "docs" / "performance.md", help="the report")
    options = parser.parse_args()
    records, differ = Records(options.data), False
    for name in WORKLOADS:
        if options.only and not any(text in name for text in options.only):
            continue
        text = verdict(digests(name, options.small))
        differ |= text.startswith("**")
        print(f"{name}: {text}", flush=True)
        if not options.small:
            records.put("same_bits", name, {"verdict": text})
    if not options.small:
        options.output.write_text(report.write(records.data), "utf-8")
    return int(differ)


if __name__ == "__main__":
    sys.exit(main())
