"""Seeded random graphs: the interpreter, the passes and the JIT must agree on every one of them."""
