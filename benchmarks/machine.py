"""The machine: its name, and how fast it can multiply and how fast its memory is, measured with all threads.

The kernels are LLVM IR with explicit vectors, run without optimisation passes, so that nothing is left out: chains of
fused multiply-adds in registers, and the STREAM triad (J. McCalpin, 1995) with and without non-temporal stores.
"""

from __future__ import annotations

import ctypes
import os
import platform
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numpy as np

CHAINS = 12
LANES = (4, 8, 16)
ELEMENTS = 1 << 24  # of each array of the triad: 64 MiB, more than caches hold


def multiply_adds(lanes: int) -> str:
    """A function of the number of turns; each makes `CHAINS` fused multiply-adds of so many lanes."""
    v = f"<{lanes} x float>"
    numbers = range(CHAINS)
    phis = "\n".join(f"  %a{n} = phi {v} [ %x, %entry ], [ %b{n}, %loop ]" for n in numbers)
    body = "\n".join(f"  %b{n} = call {v} @llvm.fma.v{lanes}f32({v} %a{n}, {v} %y, {v} %x)" for n in numbers)
    sums = "\n".join(f"  %s{n + 1} = fadd {v} %s{n}, %b{n}" for n in numbers)
    return f"""
declare {v} @llvm.fma.v{lanes}f32({v}, {v}, {v})
define float @kernel(i64 %turns, float %start) #0 {{
entry:
  %one = insertelement {v} zeroinitializer, float %start, i32 0
  %x = shufflevector {v} %one, {v} poison, <{lanes} x i32> zeroinitializer
  %y = fadd {v} %x, %x
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
{phis}
{body}
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %turns
  br i1 %more, label %loop, label %done
done:
  %s0 = fadd {v} %x, %x
{sums}
  %r = extractelement {v} %s{CHAINS}, i32 0
  ret float %r
}}
{ATTRIBUTES}"""


def triad(lanes: int, hint: str) -> str:
    """a = b + 3 * c over elements [begin, end) of three arrays; `hint` goes to the stores."""
    v = f"<{lanes} x float>"
    three = ", ".join(["float 3.0"] * lanes)
    return f"""
define void @kernel(ptr %a, ptr %b, ptr %c, i64 %begin, i64 %end) #0 {{
entry:
  br label %loop
loop:
  %i = phi i64 [ %begin, %entry ], [ %next, %loop ]
  %pa = getelementptr float, ptr %a, i64 %i
  %pb = getelementptr float, ptr %b, i64 %i
  %pc = getelementptr float, ptr %c, i64 %i
  %vb = load {v}, ptr %pb, align 4
  %vc = load {v}, ptr %pc, align 4
  %p = fmul {v} %vc, <{three}>
  %s = fadd {v} %vb, %p
  store {v} %s, ptr %pa, align {4 * lanes}{hint}
  %next = add i64 %i, {lanes}
  %more = icmp ult i64 %next, %end
  br i1 %more, label %loop, label %done
done:
  ret void
}}
!0 = !{{i32 1}}
{ATTRIBUTES}"""


ATTRIBUTES = 'attributes #0 = { "prefer-vector-width"="512" "min-legal-vector-width"="512" }'


def compiled(text: str, signature: Any) -> tuple[Any, Any]:
    """The kernel as a ctypes function, and the engine that must outlive it."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2
    )
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(text), machine)
    engine.finalize_object()
    return signature(engine.get_function_address("kernel")), engine


def on_threads(threads: int, work: Callable[[int], None]) -> float:
    """Seconds until all threads have done their work, which ctypes lets them do at once."""
    barrier = threading.Barrier(threads + 1)

    def run(number: int) -> None:
        barrier.wait()
        work(number)

    started = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in started:
        thread.start()
    barrier.wait()
    start = time.perf_counter()
    for thread in started:
        thread.join()
    return time.perf_counter() - start


def peak_flops(threads: int, seconds: float = 0.02) -> float:
    """Float32 operations a second, two for each multiply-add; the best of several vector lengths and runs."""
    best, signature = 0.0, ctypes.CFUNCTYPE(ctypes.c_float, ctypes.c_int64, ctypes.c_float)
    for lanes in LANES:
        kernel, _engine = compiled(multiply_adds(lanes), signature)
        turns = int(seconds * 3e8)
        for _ in range(8):
            taken = on_threads(threads, lambda number: kernel(turns, 0.25))  # noqa: B023  called at once
            best = max(best, 2.0 * threads * turns * CHAINS * lanes / taken)
    return best


def bandwidth(threads: int) -> float:
    """Bytes a second of the triad, three arrays counted; the best of both kinds of stores and several runs."""
    lanes, best = 16, 0.0
    arrays = [np.ones(ELEMENTS + 16, np.float32) for _ in range(3)]
    pointers = [array.ctypes.data + -array.ctypes.data % 64 for array in arrays]
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    share = ELEMENTS // threads // lanes * lanes
    for hint in ("", ", !nontemporal !0"):
        signature = ctypes.CFUNCTYPE(None, pointer, pointer, pointer, number, number)
        kernel, _engine = compiled(triad(lanes, hint), signature)
        for _ in range(8):
            taken = on_threads(threads, lambda n: kernel(*pointers, n * share, (n + 1) * share))  # noqa: B023
            best = max(best, 12.0 * share * threads / taken)
    return best


def description(threads: int) -> dict[str, Any]:
    """All that the report says about the machine."""
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": threads,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "flops": peak_flops(threads),
        "bandwidth": bandwidth(threads),
    }


def cpu_name() -> str:
    """As the system has it, with the name of its kind in LLVM."""
    name = platform.processor() or "unknown"
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = (line.split(":", 1) for line in information.read_text().splitlines() if ":" in line)
        name = next((value.strip() for key, value in lines if key.strip() == "model name"), name)
    return f"{name} ({llvm.get_host_cpu_name()})"
