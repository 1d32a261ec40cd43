"""The systems side by side: one module each, with `PROGRAMS`, and `LIBRARIES` to name versions of.

Invariant: a system's module imports its library, so only the worker of that system imports it.
"""

from __future__ import annotations

import importlib
from types import ModuleType

#: Name in the tables -> module here.
MODULES = {
    "graphc": "graphc",
    "numpy": "numpy",
    "numexpr": "numexpr",
    "jax": "jax",
    "torch": "torch",
    "torch.compile": "torch_compiled",
    "pytensor": "pytensor",
    "pytensor C": "pytensor_c",
    "tensorflow": "tensorflow",
    "onnxruntime": "onnxruntime",
}

#: Systems that compile nothing: their first call says little about compile times.
EAGER = ("numpy", "numexpr", "torch", "onnxruntime")

#: What `import` has to load, for the table of import times.
IMPORTS = {
    "graphc": "graphc",
    "numpy": "numpy",
    "numexpr": "numexpr",
    "jax": "jax.numpy",
    "torch": "torch",
    "pytensor": "pytensor.tensor",
    "tensorflow": "tensorflow",
    "onnxruntime": "onnxruntime",
}


def load(system: str) -> ModuleType:
    """The module of a system, imported now.

    Raises:
        ImportError: its library is not installed.
    """
    return importlib.import_module(f"benchmarks.systems.{MODULES[system]}")
