"""Run seeds, find what disagrees, make it small, save it.

    python -m tests.fuzz.run --seeds 0:50000 --jobs 2      a range of seeds
    python -m tests.fuzz.run --seed 1234                   one seed, with its graph
    python -m tests.fuzz.run --replay case.gir             a saved case

Seeds run in worker processes, so that a crash costs one seed and is counted as a failure of it.

Invariant: every seed of the range is accounted for: agreed, failed, crashed or timed out.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from graphc.ir.text import print_graph

from .check import Failure, Settings, caught, check
from .generate import Case, generate
from .minimise import minimise
from .recipes import RECIPES
from .storage import load, save

FOLDER = Path("fuzz-failures")
SECONDS_PER_SEED = 180.0  # a chaotic loop is judged by hundreds of noisy runs
SECONDS_APART = 10.0
#: Heap corruption shows late; a fresh process after so many seeds keeps the blame near.
SEEDS_PER_PROCESS = 250


@dataclass
class Report:
    """What a run of seeds came to.

    Attributes:
        seeds: how many were run.
        failures: what failed, by seed.
        ops: how often each op was met.
        seconds: how long it took.
    """

    seeds: int = 0
    failures: dict[int, Failure] = field(default_factory=dict)
    ops: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def summary(self) -> str:
        """One line."""
        kinds = Counter(f"{f.kind} in {f.where}" for f in self.failures.values())
        found = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()) or "0 mismatches, 0 untyped errors"
        rate = self.seeds / max(self.seconds, 1e-9)
        return f"{self.seeds} graphs in {self.seconds:.0f} s ({rate:.1f}/s), {len(self.ops)} ops: {found}"


def check_seed(seed: int) -> tuple[Failure | None, Counter[str]]:
    """Generate and check one seed."""
    try:
        case = generate(seed, RECIPES)
    except Exception as error:
        return caught(error, "build"), Counter()
    return check(case), Counter(t.op.name for t in case.graph.tensors)


def _work(seeds: list[int], pipe: Connection) -> None:
    for seed in seeds:
        pipe.send(("begin", seed))
        failure, ops = check_seed(seed)
        pipe.send(("done", seed, failure, ops))
    pipe.close()


@dataclass(eq=False)
class _Worker:
    process: Any
    pipe: Connection
    seeds: list[int]
    present: int | None = None
    since: float = 0.0
    done: int = 0


def run(seeds: Iterable[int], jobs: int = 1) -> Iterator[tuple[int, Failure | None, Counter[str]]]:
    """Check seeds in `jobs` processes; yields as they finish."""
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    todo = list(seeds)
    chunks = [todo[i : i + SEEDS_PER_PROCESS] for i in range(0, len(todo), SEEDS_PER_PROCESS)][::-1]
    workers: list[_Worker] = []

    def start(chunk: list[int]) -> None:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(chunk, theirs), daemon=True)
        process.start()
        theirs.close()
        workers.append(_Worker(process, ours, chunk, since=time.monotonic()))

    while chunks or workers:
        while chunks and len(workers) < jobs:
            start(chunks.pop())
        ready = wait([w.pipe for w in workers], timeout=1.0)
        for worker in list(workers):
            ended: str | None = None
            if worker.pipe in ready:
                try:
                    message = worker.pipe.recv()
                    worker.since = time.monotonic()
                    if message[0] == "begin":
                        worker.present = message[1]
                    else:
                        worker.done += 1
                        yield message[1], message[2], message[3]
                    continue
                except EOFError:
                    worker.process.join()
                    ended = f"the process ended with {worker.process.exitcode}"
            elif time.monotonic() - worker.since > SECONDS_PER_SEED:
                worker.process.kill()
                worker.process.join()
                ended = f"no result within {SECONDS_PER_SEED:.0f} s"
            if ended is not None:
                workers.remove(worker)
                rest = worker.seeds[worker.done :]
                if rest:
                    culprit = worker.present if worker.present is not None else rest[0]
                    yield culprit, Failure("crash", "process", ended), Counter()
                    if rest[1:]:
                        chunks.append(rest[1:])


def fails_apart(case: Case, settings: Settings | None = None) -> Failure | None:
    """`check` in a process of its own, for cases that crash."""
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    ours, theirs = context.Pipe(duplex=False)

    def work() -> None:
        theirs.send(check(case, settings or Settings()))

    process = context.Process(target=work, daemon=True)
    process.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(SECONDS_APART) else Failure("crash", "process", "no result")
    except EOFError:
        return Failure("crash", "process", "the process ended")
    finally:
        process.kill()
        process.join()


def save_failure(seed: int, failure: Failure, folder: Path, seconds: float = 30.0) -> Path | None:
    """Make the case of a failed seed small, and write it; None where it cannot even be made."""
    try:
        case = generate(seed, RECIPES)
    except Exception:
        return None
    settings = Settings.of(seed)
    fails = fails_apart if failure.kind == "crash" else lambda c: check(c, settings)
    case, failure = minimise(case, failure, fails, seconds)
    name = f"{failure.kind.replace(' ', '_')}_{failure.where or 'all'}_{seed}"
    return save(case, folder, name, failure)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the number of failures, at most 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description="random graphs: do all agree?")
    parser.add_argument("--seeds", default="0:1000", help="first:last+1")
    parser.add_argument("--seed", type=int, help="one seed, in this process, with its graph")
    parser.add_argument("--replay", type=Path, help="a saved .gir file")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where failures go")
    parser.add_argument("--keep", type=int, default=20, help="how many failures to make small and save")
    chosen = parser.parse_args(arguments)
    os.environ.setdefault("GRAPHC_CACHE", "off")  # no graph comes twice
    if chosen.replay is not None:
        return _show(load(chosen.replay), check(load(chosen.replay), Settings()))
    if chosen.seed is not None:
        case = generate(chosen.seed, RECIPES)
        return _show(case, check(case))
    first, _, last = chosen.seeds.partition(":")
    report = run_report(range(int(first), int(last)), chosen.jobs, chosen.folder, chosen.keep)
    print(report.summary())
    return int(bool(report.failures))


def run_report(seeds: range, jobs: int, folder: Path, keep: int, every: float = 10.0) -> Report:
    """Run a range of seeds with a line of progress now and then, and save the first failures."""
    report, began, shown = Report(), time.monotonic(), time.monotonic()
    saved: Counter[tuple[str, str]] = Counter()
    for seed, failure, ops in run(seeds, jobs):
        report.seeds += 1
        report.ops.update(ops)
        report.seconds = time.monotonic() - began
        if failure is not None:
            report.failures[seed] = failure
            print(f"seed {seed}: {failure.kind} in {failure.where}, run {failure.run}: {failure.message}", flush=True)
            if saved.total() < keep and saved[failure.sort] < 3:
                saved[failure.sort] += 1
                path = save_failure(seed, failure, folder)
                print(f"  saved as {path}", flush=True)
        if time.monotonic() - shown > every:
            shown = time.monotonic()
            print(report.summary(), flush=True)
    return report


def _show(case: Case, failure: Failure | None) -> int:
    print(print_graph(case.graph, locations=False))
    if failure is None:
        print("all agree")
        return 0
    print(f"{failure.kind} in {failure.where}, run {failure.run}: {failure.message}\n{failure.detail}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
