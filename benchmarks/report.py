"""`docs/performance.md` from the records: tables of Markdown, and a verdict for each bar.

Invariant: a ratio is the time of the best other system over ours; the verdict takes the worse of the ratios of minima
and of medians, and a system that failed is named with its reason.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks.first_calls import STEPS
from benchmarks.systems import EAGER, MODULES
from benchmarks.tried import TRIED, TRIED_LAYOUTS
from benchmarks.workload import Workload
from benchmarks.workloads import LARGE_GRAPHS, WORKLOADS

OURS = "graphc"
#: Without graphs and gradients: a step is written out by its user.
BY_HAND = "numpy"
Row = Mapping[str, Any]
Measure = Callable[[Sequence[float]], float]


def write(data: Mapping[str, Mapping[str, Any]]) -> str:
    """The whole document."""
    parts = [_head(data), _run_times(data), _all_times(data), _beyond(data), _sizes(data), _bits(data), _failures(data)]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table of Markdown; all columns but the first are aligned to the right."""
    rows = [header, ["---", *["---:"] * (len(header) - 1)], *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def duration(seconds: float) -> str:
    """Three digits, in the unit that fits."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1:
            return f"{_digits(seconds * factor)} {unit}"
    return f"{_digits(seconds * 1e9)} ns"


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


# ---- comparing


def timed(systems: Mapping[str, Row], key: str = "times") -> dict[str, Sequence[float]]:
    """The times of the systems that have some and did not fail."""
    return {name: row[key] for name, row in systems.items() if row.get(key) and not row.get("failed")}


def best_peer(times: Mapping[str, Sequence[float]], measure: Measure) -> str | None:
    """The fastest system besides ours."""
    return min((name for name in times if name != OURS), key=lambda name: measure(times[name]), default=None)


def ratio(times: Mapping[str, Sequence[float]], measure: Measure) -> float | None:
    """The best peer's time over ours; None where one of them is missing."""
    peer = best_peer(times, measure)
    return None if peer is None or OURS not in times else measure(times[peer]) / measure(times[OURS])


def verdict(reached: float | None, bar: float | None) -> str:
    """Whether a ratio reaches its bar, or by how much it falls short."""
    if bar is None or reached is None:
        return "-" if bar is None else "not measured"
    return "met" if reached >= bar else f"**short by {(1 - reached / bar) * 100:.0f} %**"


def within(value: float | None, most: float) -> str:
    """The same for an upper bound."""
    if value is None:
        return "not measured"
    return "met" if value <= most else f"**{value / most:.2f}x the bar**"


# ---- sections


def _head(data: Mapping[str, Mapping[str, Any]]) -> str:
    machine = data["machine"].get("this", {})
    versions: dict[str, str] = {}
    for row in data["rows"].values():
        for system in row["systems"].values():
            versions |= system.get("versions", {})
    rounds = {row.get("rounds") for row in data["rows"].values()} - {None}
    days = sorted({row["when"] for row in data["rows"].values() if "when" in row})
    lines = [
        "# Performance",
        "Made by `python -m benchmarks.run`; see [benchmarks/](../benchmarks). Each system runs in a process of its"
        " own, written as its own users write it at its best, and its results are compared with a float64 reference"
        " before it is timed. Rounds are interleaved: in each, every system has one turn, while the others are stopped."
        " A ratio is the time of the best other system over graphc's: above 1, graphc is faster. The verdict takes the"
        " worse of the ratios of minima and of medians.",
    ]
    if machine:
        lines.append(
            f"{machine['cpu']}, {machine['cores']} cores, {machine['memory'] / 2**30:.0f} GiB;"
            f" {machine['threads']} threads for all; {machine['system']}, Python {machine['python']}. Measured peak of"
            f" those threads: {machine['flops'] / 1e9:.0f} GFLOP/s (float32 multiply-adds) and"
            f" {machine['bandwidth'] / 1e9:.1f} GB/s (triad)."
        )
    if days:
        span = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
        turns = " to ".join(str(n) for n in sorted({min(rounds), max(rounds)})) if rounds else "?"
        listed = ", ".join(f"{library} {version}" for library, version in sorted(versions.items()))
        lines.append(f"Measured {span}, {turns} rounds. {listed}.")
    return "\n\n".join(lines)


def _run_times(data: Mapping[str, Mapping[str, Any]]) -> str:
    machine = data["machine"].get("this", {})
    lines, remarks = [], []
    tried: dict[str, list[str]] = {}
    for name, workload in WORKLOADS.items():
        systems = data["rows"].get(name, {}).get("systems", {})
        if not systems:
            continue
        times = timed(systems)
        peer = best_peer(times, min)
        ratios = ratio(times, min), ratio(times, statistics.median)
        worse = None if None in ratios else min(r for r in ratios if r is not None)
        lines.append([
            name,
            duration(min(times[OURS])) if OURS in times else _reason(systems.get(OURS)),
            f"{duration(min(times[peer]))} ({peer})" if peer else "-",
            *("-" if r is None else f"{r:.2f}" for r in ratios),
            "-" if workload.bar is None else f"{workload.bar:g}",
            verdict(worse, workload.bar),
            _share(workload, times, machine),
        ])  # fmt: skip
        if workload.remark:
            remarks.append(f"- {name}: {workload.remark}.")
        if name in TRIED and workload.bar is not None and worse is not None and worse < workload.bar:
            tried.setdefault(TRIED[name], []).append(name)
    if not lines:
        return ""
    header = ["workload", OURS, "best peer", "ratio of minima", "of medians", "bar", "verdict", "share of peak"]
    explained = (
        "Share of peak: of arithmetic (F) where a row counts operations, of bandwidth (B) where it counts bytes; data"
        " that stay in caches can exceed the bandwidth of memory."
    )
    parts = ["## Run time", table(header, lines), explained, "\n".join(remarks)]
    if tried:
        about = (f"- {'; '.join(names)}: {text}." for text, names in tried.items())
        parts += ["### What was tried where a bar is missed", "\n".join(about)]
    return "\n\n".join(part for part in parts if part)


def _reason(row: Row | None) -> str:
    return "failed" if row and row.get("failed") else "-"


def _share(workload: Workload, times: Mapping[str, Sequence[float]], machine: Row) -> str:
    if OURS not in times or not machine:
        return "-"
    best = min(times[OURS])
    if flops := workload.flops(workload.sizes):
        return f"{flops / best / machine['flops'] * 100:.0f} % F"
    if moved := workload.bytes(workload.sizes):
        return f"{moved / best / machine['bandwidth'] * 100:.0f} % B"
    return "-"


def _all_times(data: Mapping[str, Mapping[str, Any]]) -> str:
    columns = [s for s in MODULES if any(s in row["systems"] for row in data["rows"].values())]
    lines = []
    for name in WORKLOADS:
        systems = data["rows"].get(name, {}).get("systems", {})
        if systems:
            times = timed(systems)
            cells = (
                f"{duration(min(times[s]))} / {duration(statistics.median(times[s]))}"
                if s in times
                else _reason(systems.get(s))
                for s in columns
            )
            lines.append([name, *cells])
    if not lines:
        return ""
    return f"### All systems: minimum / median\n\n{table(['workload', *columns], lines)}"


def _beyond(data: Mapping[str, Mapping[str, Any]]) -> str:
    parts = [_imports(data["imports"]), *(_steps(data["first_calls"], key) for key in _STEPS_TABLES)]
    parts.append(_large_graphs(data["first_calls"]))
    parts = [part for part in parts if part]
    return "\n\n".join(["## Beyond run time", *parts]) if parts else ""


def _imports(imports: Mapping[str, Row]) -> str:
    times = timed(imports)
    if not times:
        return ""
    lines = [[s, duration(min(t)), duration(statistics.median(t))] for s, t in times.items()]
    ours = within(statistics.median(times[OURS]), 0.2) if OURS in times else "not measured"
    return f"### Import\n\nBar: 0.2 s: {ours}.\n\n" + table(["system", "minimum", "median"], lines)


#: Table -> its title, what it says about the bar, and the two figures of a cell (the second may be missing).
_STEPS_TABLES = {
    "cold": ("First call, cold cache", "Bar: half of JAX's, or 0.3 s for the dense net.", "cold", None),
    "warm": ("First call in a new process, warm cache", "Bar: 30 ms for the dense net.", "warm", None),
    "memory": (
        "Peak memory in MB, with cold / warm caches",
        "Bar: 120 MB for the dense net, the best framework's for the others; both with cold caches. NumPy by hand is no"
        " framework.",
        "megabytes",
        "warm_megabytes",
    ),
}


def _steps(records: Mapping[str, Row], name: str) -> str:
    title, bar, key, second = _STEPS_TABLES[name]
    shown = [step for step in STEPS if step in records]
    if not shown:
        return ""
    systems = [s for s in MODULES if any(s in records[step]["systems"] for step in shown)]
    lines = []
    for step in shown:
        found = records[step]["systems"]
        cells = []
        for system in systems:
            row = found.get(system, {})
            figures = [statistics.median(row[k]) for k in (key, second) if k and row.get(k) and not row.get("failed")]
            text = " / ".join(_digits(f) if name == "memory" else duration(f) for f in figures)
            cells.append(text or _reason(row))
        lines.append([step, *cells, _step_verdict(name, step == STEPS[0], timed(found, key))])
    eager = ", ".join(system for system in systems if system in EAGER)
    note = f"{bar} Medians. These compile nothing: {eager or 'none'}."
    return f"### {title}\n\n{note}\n\n" + table(["step", *systems, "verdict"], lines)


def _step_verdict(key: str, dense: bool, times: Mapping[str, Sequence[float]]) -> str:
    if OURS not in times:
        return "not measured"
    ours = statistics.median(times[OURS])
    if key == "cold":
        half = statistics.median(times["jax"]) / 2 if "jax" in times else None
        most = max(half or 0.0, 0.3) if dense else half
        return "not measured" if most is None else within(ours, most)
    if key == "warm":
        return within(ours, 0.03) if dense else "-"
    if dense:
        return within(ours, 120.0)
    peers = [statistics.median(t) for s, t in times.items() if s not in (OURS, BY_HAND)]
    return within(ours, min(peers)) if peers else "not measured"


def _large_graphs(records: Mapping[str, Row]) -> str:
    shown = [name for name in LARGE_GRAPHS if name in records]
    if not shown:
        return ""
    systems = [s for s in MODULES if any(s in records[name]["systems"] for name in shown)]
    lines = []
    for name in shown:
        found = records[name]["systems"]
        times = timed(found, "cold")
        compiling = {s: t for s, t in times.items() if s not in EAGER}
        cells = (duration(min(times[s])) if s in times else _reason(found.get(s)) for s in systems)
        reached = ratio(compiling, min)
        shown_ratio = "-" if reached is None else f"{reached:.2f}"
        lines.append([name, *cells, shown_ratio, verdict(reached, LARGE_GRAPHS[name].bar)])
    eager = ", ".join(system for system in systems if system in EAGER)
    note = (
        "Definition, compilation and first call, caches cold. Bar: half of the best peer's time."
        f" These compile nothing, so they are no measure here: {eager}."
    )
    return f"### Large graphs\n\n{note}\n\n" + table(["graph", *systems, "ratio", "verdict"], lines)


def _sizes(data: Mapping[str, Mapping[str, Any]]) -> str:
    lines, missed = [], []
    for name, row in data["odd_sizes"].items():
        times = duration(row["seconds"]), row["partner"], duration(row["even"])
        lines.append([name, *times, f"{row['ratio']:.2f}", within(row["ratio"], 2.0)])
        missed += [name] if row["ratio"] > 2.0 else []
    if not lines:
        return ""
    header = ["case", "time", "even contiguous case", "time", "ratio", "verdict"]
    note = "Ratios allow for the difference in work. Bar: 2. Made by `python -m benchmarks.odd_sizes`."
    about = [
        f"- {layout}: {text}."
        for layout, text in TRIED_LAYOUTS.items()
        if any(name.endswith(f", {layout}") for name in missed)
    ]
    parts = [f"## Odd sizes, strides, broadcasting\n\n{note}", table(header, lines), "\n".join(about)]
    return "\n\n".join(part for part in parts if part)


def _bits(data: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [[name, row["verdict"]] for name, row in data["same_bits"].items()]
    if not lines:
        return ""
    note = "The bits of all results with 1, 2, 3 and 4 threads. Made by `python -m benchmarks.same_bits`."
    return f"## Bits and threads\n\n{note}\n\n" + table(["workload", "bits"], lines)


def _failures(data: Mapping[str, Mapping[str, Any]]) -> str:
    lines = []
    for section in ("rows", "first_calls"):
        for name, row in data[section].items():
            for system, found in row["systems"].items():
                if found.get("failed"):
                    where = " (first call)" if section == "first_calls" else ""
                    lines.append(f"- {name}{where}, {system}: {found['failed'].replace('|', '/')}")
    return "## What did not run\n\n" + "\n".join(lines) if lines else ""
