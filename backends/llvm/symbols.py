"""The symbols that generated code may use beyond its own: C's memory functions, libm, and what threads need.

Invariant: nothing else is ever linked, but for what a caller passes by address.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator, Mapping
from functools import cache

_LIBM = (
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "copysign", "cos", "cosh",
    "erf", "erfc", "exp", "exp10", "exp2", "expm1", "fabs", "floor", "fma", "fmax", "fmin", "fmod", "frexp",
    "hypot",
    "ldexp", "lgamma", "log", "log10", "log1p", "log2", "modf", "nearbyint", "nextafter", "pow", "remainder",
    "rint", "round", "roundeven", "sin", "sinh", "sqrt", "tan", "tanh", "tgamma", "trunc",
)  # fmt: skip

#: The external symbols that generated code may use: C's memory functions, libm in both precisions, and what a
#: thread pool and a profile need.
EXTERNAL_SYMBOLS: tuple[str, ...] = (
    "memcpy", "memmove", "memset", "memcmp", "bcmp", "abort",
    *_LIBM, *(name + "f" for name in _LIBM),
    "pthread_create", "pthread_join", "pthread_detach", "pthread_self",
    "pthread_mutex_init", "pthread_mutex_lock", "pthread_mutex_trylock", "pthread_mutex_unlock",
    "pthread_cond_init", "pthread_cond_wait", "pthread_cond_signal", "pthread_cond_broadcast",
    "sched_yield", "sched_getcpu", "clock_gettime",
)  # fmt: skip


@cache
def external_addresses() -> Mapping[str, int]:
    """The address of each allowed symbol that this platform has."""
    found: dict[str, int] = {}
    for library in _system_libraries():
        for name in EXTERNAL_SYMBOLS:
            if name not in found and hasattr(library, name):
                found[name] = ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
        if len(found) == len(EXTERNAL_SYMBOLS):
            break
    return found


def _system_libraries() -> Iterator[ctypes.CDLL]:
    """Where those symbols may be; the process itself has them all as a rule, and searching files is slow."""
    yield ctypes.CDLL(None) if sys.platform != "win32" else ctypes.CDLL("ucrtbase")
    from ctypes.util import find_library  # costly to load

    for stem in ("m", "pthread"):
        if path := find_library(stem):
            yield ctypes.CDLL(path)
