"""The machine that code is made for: its name, its vector registers, and how wide loops should be.

Invariant: everything that the emitted text or the object code depends on is in ``Target``, so its fields (and
nothing else about the host) belong into a cache key.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

#: An elementwise body works on this many bytes at once, where the registers allow it: two registers of
#: AVX-512, four of AVX2. Measured 8-13 % ahead of LLVM's loop vectorizer, since the chains of a body overlap.
WIDE_BYTES = 128
#: ... but on at most this many registers, or the body's temporaries spill.
WIDE_REGISTERS = 4


@dataclass(frozen=True)
class Target:
    """A machine: LLVM's names for it, and the facts that kernels are shaped by."""

    triple: str
    cpu: str
    features: str
    vector_bits: int
    """Bits of the widest vector register; 64 when there is none."""
    vector_registers: int
    has_fma: bool

    @classmethod
    def of(cls, triple: str, cpu: str, features: str = "") -> Target:
        """The target that LLVM's triple, processor name and feature string (``"+avx2,+fma"``) describe."""
        architecture = triple.partition("-")[0]
        enabled = {item[1:] for item in features.split(",") if item.startswith("+")}
        bits, registers, fma = _vector_unit(architecture, enabled)
        return cls(triple, cpu, features, bits, registers, fma)

    def lanes(self, *dtypes: np.dtype | type | str, heavy: bool = False) -> int:
        """Lanes of an elementwise body over arrays of these dtypes (the widest one counts).

        ``heavy``: the body keeps more than about twelve values alive; half as many lanes then.
        """
        size = max(np.dtype(dtype).itemsize for dtype in dtypes)
        if self.vector_bits < 128:
            return 1
        width = min(WIDE_BYTES, WIDE_REGISTERS * self.vector_bits // 8)
        return max(1, width // size // (2 if heavy else 1))

    def native_lanes(self, dtype: np.dtype | type | str) -> int:
        """Lanes of one vector register: the unit of register-blocked kernels."""
        return max(1, self.vector_bits // 8 // np.dtype(dtype).itemsize) if self.vector_bits >= 128 else 1


def _vector_unit(architecture: str, enabled: set[str]) -> tuple[int, int, bool]:
    """(vector bits, vector registers, fused multiply-add) of an architecture with these features."""
    if architecture in ("aarch64", "arm64"):
        return 128, 32, True  # NEON is part of the base architecture; scalable vectors are not used
    if architecture in ("x86_64", "amd64"):
        fma = "fma" in enabled or "avx512f" in enabled
        # The 256-bit forms of AVX-512 (vl) and its byte and word forms (bw) belong to every server part.
        if {"avx512f", "avx512vl", "avx512bw", "avx512dq"} <= enabled:
            return 512, 32, fma
        return (256, 16, fma) if "avx2" in enabled else (128, 16, fma)
    if architecture in ("wasm32", "wasm64"):
        return (128, 16, False) if "simd128" in enabled else (64, 16, False)
    return 64, 16, False


def llvm_version() -> tuple[str, str]:
    """The versions of llvmlite and of LLVM inside it."""
    import llvmlite
    import llvmlite.binding as llvm

    return llvmlite.__version__, ".".join(map(str, llvm.llvm_version_info))


@lru_cache(maxsize=1)
def host_target() -> Target:
    """The machine that this process runs on."""
    import llvmlite.binding as llvm  # costly to load

    try:
        features = llvm.get_host_cpu_features().flatten()
    except RuntimeError:  # LLVM cannot tell on this platform; the processor's name must do
        features = ""
    return Target.of(llvm.get_process_triple(), llvm.get_host_cpu_name(), features)
