"""Run every workload in every system that is installed, and write `docs/performance.md`.

    python -m benchmarks.run                                everything, about 20 minutes on a quiet machine
    python -m benchmarks.run --quick                        fewer and shorter rounds, about 6 minutes
    python -m benchmarks.run --only matmul --systems graphc,numpy
    python -m benchmarks.run --list

What is measured is merged into a file of records (`--data`) after each row, and the report is written from all of it.
To install the peers: `pip install -e '.[bench]'`.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import first_calls, machine, report
from benchmarks.processes import CHECKOUT
from benchmarks.records import Records, default_path
from benchmarks.report import duration
from benchmarks.rounds import Plan, measure
from benchmarks.systems import IMPORTS, MODULES
from benchmarks.workloads import EVERY, LARGE_GRAPHS, WORKLOADS

IMPORT_ROW = "import"
#: What `--quick` leaves out: systems that take long to compile, and graphs that all of them take long for.
SLOW_SYSTEMS, SLOW_ROWS = ("torch.compile", "pytensor C"), LARGE_GRAPHS
FIRST_CALL = "first call: "


def rows() -> list[str]:
    """The names of all rows, in order."""
    return [*WORKLOADS, IMPORT_ROW, *(FIRST_CALL + name for name in (*first_calls.STEPS, *LARGE_GRAPHS))]


def installed(system: str) -> bool:
    """Whether this interpreter has the library of a system."""
    library = IMPORTS.get(system.split(".")[0].split()[0], system)
    return importlib.util.find_spec(library.split(".")[0]) is not None


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="rows whose name has this text")
    parser.add_argument("--systems", default=",".join(MODULES), help="separated by commas (default: all)")
    parser.add_argument("--rounds", type=int, help="turns of each system (default: 9, quick: 7)")
    parser.add_argument("--seconds", type=float, help="length of a turn (default: 0.1, quick: 0.03)")
    parser.add_argument("--quick", action="store_true", help="short turns, and without the slowest compilers")
    parser.add_argument("--threads", type=int, default=2, help="for all systems (default: 2)")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds until a first result (default: 120)")
    parser.add_argument("--patience", type=float, default=30.0,
                        help="the same for first calls, where others were four times faster (default: 30)")  # fmt: skip
    parser.add_argument(
        "--small", action="store_true", help="tiny sizes: to see that all of it works; for a report of its own"
    )
    parser.add_argument("--python", action="append", default=[], metavar="SYSTEM=PATH",
                        help="another interpreter for a system")  # fmt: skip
    parser.add_argument("--data", type=Path, default=default_path(), help="file of records (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=CHECKOUT / "docs" / "performance.md", help="the report")
    parser.add_argument("--report", action="store_true", help="write the report from the records, measure nothing")
    parser.add_argument("--list", action="store_true", help="print rows and systems, measure nothing")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """The command; gives the status: 1 where graphc failed in a row."""
    options = arguments(given)
    systems = [name.strip() for name in options.systems.split(",") if name.strip()]
    unknown = [name for name in systems if name not in MODULES]
    if unknown:
        print(f"no such system: {', '.join(unknown)}; there are {', '.join(MODULES)}", file=sys.stderr)
        return 2
    chosen = [name for name in rows() if not options.only or any(text in name for text in options.only)]
    if options.quick:
        systems = [name for name in systems if name not in SLOW_SYSTEMS]
        chosen = [name for name in chosen if options.only or name.removeprefix(FIRST_CALL) not in SLOW_ROWS]
    pythons = dict(pair.split("=", 1) for pair in options.python)
    missing = [name for name in systems if name not in pythons and not installed(name)]
    if options.list:
        print("\n".join(chosen))
        print("systems:", ", ".join(f"{name} (not installed)" if name in missing else name for name in systems))
        return 0
    if options.small and CHECKOUT in options.output.parents:
        options.data, options.output = (path.with_stem(f"{path.stem}-small") for path in (options.data, options.data))
        options.output = options.output.with_suffix(".md")
    records = Records(options.data)
    status = 0
    if not options.report:
        if missing:
            print(f"not installed: {', '.join(missing)}", file=sys.stderr)
        systems = [name for name in systems if name not in missing]
        status = run(chosen, systems, options, Plan(
            rounds=options.rounds or (7 if options.quick else 9),
            seconds=options.seconds or (0.03 if options.quick else 0.1),
            threads=options.threads,
            limit=options.limit,
            patience=options.patience,
            small=options.small,
            pythons=pythons,
        ), records)  # fmt: skip
    options.output.write_text(report.write(records.data), "utf-8")
    print(f"{options.output} written from {options.data}", file=sys.stderr)
    return status


def run(
    chosen: Sequence[str], systems: Sequence[str], options: argparse.Namespace, plan: Plan, records: Records
) -> int:
    """Measure the rows; 1 if graphc fails in one of them."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that workers, some of them stopped, end too
    begin, failed = time.monotonic(), 0
    records.put("machine", "this", machine.description(plan.threads))
    for number, name in enumerate(chosen, 1):
        found = measure_row(name, systems, options, plan, records)
        failed += "failed" in found.get("graphc", {})
        options.output.write_text(report.write(records.data), "utf-8")
        passed = time.monotonic() - begin
        print(f"[{number}/{len(chosen)}, {passed:.0f} s] {name}: {summary(found)}", file=sys.stderr, flush=True)
    return int(failed > 0)


def measure_row(
    name: str, systems: Sequence[str], options: argparse.Namespace, plan: Plan, records: Records
) -> dict[str, dict[str, Any]]:
    """Measure one row, and store it."""
    day = datetime.date.today().isoformat()
    if name == IMPORT_ROW:
        found = {system: first_calls.import_times(system, 3 if options.quick else 7, plan) for system in systems}
        found = {system: record for system, record in found.items() if not record.pop("absent", False)}
        for system, record in found.items():
            records.put("imports", system, record)
    elif name.startswith(FIRST_CALL):
        workload = EVERY[name.removeprefix(FIRST_CALL)]
        found = first_calls.first_calls(workload, systems, 1 if options.quick else 3, plan)
        records.merge("first_calls", workload.name, found, when=day)
    else:
        found = measure(WORKLOADS[name], systems, plan)
        records.merge("rows", name, found, when=day, rounds=plan.rounds)
    return found


def summary(found: dict[str, dict[str, Any]]) -> str:
    """One line on a row: the best time of each system, or that it failed."""
    texts = []
    for system, record in found.items():
        times = record.get("times") or record.get("cold") or [0.0]
        text = f"FAILED ({record['failed'][:80]})" if "failed" in record else duration(min(times))
        texts.append(f"{system} {text}")
    return ", ".join(texts)


if __name__ == "__main__":
    sys.exit(main())
