"""`graphc doctor`: what graphc finds on this machine, for bug reports and for questions of speed.

Invariant: it never fails; what cannot be found out is reported as such.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import numpy as np

from graphc.backends import backend_named
from graphc.backends.llvm.cache import describe_usage, object_cache
from graphc.ir.build import constant
from graphc.ir.close import close
from graphc.passes.manager import optimise

_PACKAGES = ("graphc-compiler", "numpy", "networkx", "llvmlite", "scipy")
_FEATURES = ("sse4.2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512vl", "avx512bf16", "amx-tile", "neon", "sve")
_FLAGS = (
    "GRAPHC_DEBUG", "GRAPHC_CHECK", "GRAPHC_DUMP", "GRAPHC_SKIP", "GRAPHC_BACKEND", "GRAPHC_NUM_THREADS",
    "GRAPHC_CACHE",
)  # fmt: skip


def report() -> str:
    """The report as text, one fact a line."""
    lines = []
    for title, facts in (
        ("versions", _versions()), ("machine", _machine()), ("threads", _threads()),
        ("settings", _settings()), ("self-test", _self_test()),
    ):  # fmt: skip
        lines.append(title)
        lines += [f"  {name:<18} {value}" for name, value in facts]
    return "\n".join(lines)


def _versions() -> Iterator[tuple[str, str]]:
    yield "python", f"{platform.python_version()} ({platform.python_implementation()}, {sys.executable})"
    for package in _PACKAGES:
        try:
            yield package, metadata.version(package)
        except metadata.PackageNotFoundError:
            yield package, "not installed"
    with contextlib.suppress(Exception):
        from graphc.backends.llvm.target import llvm_version

        yield "LLVM", llvm_version()[1]


def _machine() -> Iterator[tuple[str, str]]:
    yield "system", f"{platform.system()} {platform.release()}, {platform.machine()}"
    try:
        from graphc.backends.llvm.target import host_target

        target = host_target()
    except Exception as error:  # llvmlite missing or broken: the very thing that a report should show
        yield "LLVM target", f"unknown: {error}"
        return
    enabled = {item[1:] for item in target.features.split(",") if item.startswith("+")}
    yield "CPU", target.cpu
    yield "features", " ".join(f for f in _FEATURES if f in enabled) or "none of those that graphc asks for"
    yield "vectors", f"{target.vector_bits} bits, {target.vector_registers} registers"
    yield "multiply-add", "fused" if target.has_fma else "not fused"


def _threads() -> Iterator[tuple[str, str]]:
    yield "processors", str(os.cpu_count())
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield "affinity", f"this process may use {usable}"
    quota = cgroup_quota()
    yield "cgroup quota", "none" if quota is None else f"{quota:g} processors"
    try:
        from graphc.backends.llvm.threads import thread_count

        yield "graphc uses", str(thread_count())
    except Exception as error:  # a wrong GRAPHC_NUM_THREADS, or no llvmlite
        yield "graphc uses", f"unknown: {error}"


def cgroup_quota(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """How many processors' worth of time the container grants; None where it does not limit.

    Reads cgroup v2 (`cpu.max`), else v1 (`cpu.cfs_quota_us`).
    """
    try:
        quota, period = (root / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        quota_us = int((root / "cpu" / "cpu.cfs_quota_us").read_text())
        period_us = int((root / "cpu" / "cpu.cfs_period_us").read_text())
        return quota_us / period_us if quota_us > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _settings() -> Iterator[tuple[str, str]]:
    for name in _FLAGS:
        yield name, os.environ.get(name) or "-"
    yield "cache", describe_usage(object_cache().usage())


def _self_test() -> Iterator[tuple[str, str]]:
    """Compile and run a small graph on each backend."""
    for name in ("numpy", "llvm"):
        start = time.perf_counter()
        try:
            backend = backend_named(name)
            x = constant(np.arange(8, dtype=np.float32))
            graph = optimise(close("doctor", [], [(x * x + 1.0).sum()]), native=backend.native, skip=("fold",)).graph
            (result,) = backend.compile(graph)([])
            verdict = "works" if float(result) == 148.0 else f"WRONG: 148 was due, not {float(result)}"
            yield name, f"{verdict}, first compile and run in {(time.perf_counter() - start) * 1e3:.0f} ms"
        except Exception as error:
            yield name, f"FAILS: {type(error).__name__}: {error}"


__all__ = ["cgroup_quota", "report"]
