"""The LLVM backend: an optimised graph becomes one native entry and the kernels that it calls."""
