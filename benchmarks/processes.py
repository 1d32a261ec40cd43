"""Workers as the parent sees them: started in one environment for all, asked with a time limit, stopped between turns.

Invariant: while one worker is being timed, all others are stopped (SIGSTOP), so that threads that wait by spinning,
as those of OpenMP do for a while, take nothing from it.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[1]

#: Settings of a shell that would favour or hold back one of the systems.
REMOVED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "GRAPHC_DEBUG", "GRAPHC_CHECK", "GRAPHC_BACKEND", "GRAPHC_SKIP",
           "PYTHONDONTWRITEBYTECODE")  # fmt: skip
#: What each library calls its number of threads; JAX, which counts processors, gets NPROC besides the affinity.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMEXPR_MAX_THREADS",
           "NUMBA_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "GRAPHC_NUM_THREADS", "NPROC")  # fmt: skip


class DiedError(Exception):
    """A worker ended, or did not answer in time; the text says which."""


def environment(threads: int, folder: Path | None = None) -> dict[str, str]:
    """The environment of a worker.

    Args:
        threads: for each library.
        folder: where caches of compiled code lie; by default where each library likes them.
    """
    found = {name: value for name, value in os.environ.items() if name not in REMOVED}
    found |= dict.fromkeys(THREADS, str(threads))
    found |= {"TF_NUM_INTEROP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    if folder is not None:
        found |= {
            "GRAPHC_CACHE": str(folder / "graphc"),
            "JAX_COMPILATION_CACHE_DIR": str(folder / "jax"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            "PYTENSOR_FLAGS": f"base_compiledir={folder / 'pytensor'}",
            "NUMBA_CACHE_DIR": str(folder / "numba"),
            "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
            "TRITON_CACHE_DIR": str(folder / "triton"),
        }
    return found


class WorkerProcess:
    """A running worker; a context manager that ends it."""

    def __init__(
        self,
        system: str,
        workload: str,
        environment: Mapping[str, str],
        cores: int,
        python: str = sys.executable,
        arguments: Sequence[str] = (),
    ) -> None:
        self.system = system
        command = [python, "-m", "benchmarks.worker", system, workload, *arguments]
        self._errors = os.memfd_create("errors") if hasattr(os, "memfd_create") else os.open(os.devnull, os.O_RDWR)
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, cwd=CHECKOUT,
            env=dict(environment), start_new_session=True,
        )  # fmt: skip
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(self.process.pid, sorted(os.sched_getaffinity(0))[:cores])
        self._buffer = b""

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *error: object) -> None:
        """End the worker and everything that it started, and wait for it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        os.close(self._errors)

    def ask(self, command: str, limit: float, **arguments: Any) -> dict[str, Any]:
        """The answer to a command.

        Raises:
            DiedError: there is none within `limit` seconds.
        """
        self._send(command, **arguments)
        return self._answer(limit)

    def _send(self, command: str, **arguments: Any) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"do": command, **arguments}).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise DiedError(self._death()) from None

    def _answer(self, limit: float) -> dict[str, Any]:
        assert self.process.stdout is not None
        deadline = time.monotonic() + limit
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise DiedError(f"no result after {limit:.0f} s")
                piece = os.read(self.process.stdout.fileno(), 1 << 16)
                if not piece:
                    raise DiedError(self._death())
                self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    def stop(self) -> None:
        """Stop all of its threads where they are."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.killpg(self.process.pid, signal.SIGCONT)

    def _death(self) -> str:
        status = self.process.wait()
        size = os.lseek(self._errors, 0, os.SEEK_END)
        os.lseek(self._errors, max(0, size - 2000), os.SEEK_SET)
        lines = os.read(self._errors, 2000).decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        return f"the process died ({how}) {last[:200]}".strip()
