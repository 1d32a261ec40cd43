"""The backends by name; llvmlite is imported only when the LLVM backend is first asked for."""

from __future__ import annotations

from graphc.backends.base import Backend, Executable, StepTime
from graphc.errors import ArgumentError, nearest

NAMES = ("numpy", "llvm")


def backend_named(name: str) -> Backend:
    """The backend called `name`.

    Raises:
        ArgumentError: there is none.
    """
    if name == "numpy":
        from graphc.backends.numpy.interpreter import Interpreter

        return Interpreter()
    if name == "llvm":
        from graphc.backends.llvm.backend import LLVMBackend

        return LLVMBackend()
    known = ", ".join(NAMES)
    raise ArgumentError(f"there is no backend {name!r}; backends are {known}", hint=nearest(str(name), NAMES))


__all__ = ["NAMES", "Backend", "Executable", "StepTime", "backend_named"]
