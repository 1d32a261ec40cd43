"""The workloads in PyTensor, C mode, with a BLAS to link to: the MKL of PyPI, as conda's packages have it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytensor

_FOLDER = Path(sys.prefix) / "lib"
_MKL = sorted(_FOLDER.glob("libmkl_rt.so*"))
if _MKL:  # pip's packages link to no BLAS by themselves; set before pytensor.tensor is imported
    pytensor.config.blas__ldflags = f"-L{_FOLDER} -l:{_MKL[0].name} -Wl,-rpath,{_FOLDER}"

from benchmarks.systems import pytensor as numba_mode  # noqa: E402

numba_mode.MODE[0] = "CVM"

LIBRARIES = ("pytensor", "mkl", "numpy")
PROGRAMS = numba_mode.PROGRAMS
