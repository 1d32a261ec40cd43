"""The builder of one function's IR text, and the module that functions make up.

Invariant: text is only ever appended, each piece once, and joined once at the end (linear time); every block
ends in exactly one terminator, which the structured control flow of ``control.py`` writes. Names made
here hold a dot and parameters' names none, so they cannot meet.

    b = Builder("scale", [("x", "ptr"), ("y", "ptr"), ("n", "i64")])
    x, y, n = b.params
    with b.loop(0, n, carried=[b.const("float", 0.0)]) as loop:
        value = b.load("float", b.gep(x, loop.index, "float"))
        b.store(b.fmul(value, 2.0), b.gep(y, loop.index, "float"))
        loop.next(b.fadd(loop.carried[0], value))
    total, = loop.results
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

from graphc.backends.llvm.control import Control, Section
from graphc.backends.llvm.memory_instructions import MemoryInstructions
from graphc.backends.llvm.target import Target, host_target
from graphc.backends.llvm.values import (
    EXACT,
    FAST,
    NULL,
    Operand,
    Value,
    constant,
    element_bytes,
    element_type,
    lanes_of,
    like,
    memory_type,
    register_type,
    vector,
)
from graphc.errors import CodegenError

__all__ = [
    "EXACT", "FAST", "NULL", "Builder", "Module", "Operand", "Section", "Value", "constant", "element_bytes",
    "element_type", "lanes_of", "like", "memory_type", "register_type", "vector",
]  # fmt: skip


class Builder(Control, MemoryInstructions):
    """Builds one function. ``params`` are (name, type) pairs; a type may carry attributes ("ptr noalias")."""

    def __init__(
        self,
        name: str,
        params: Sequence[tuple[str, str]] = (),
        result: str = "void",
        *,
        target: Target | None = None,
        linkage: str = "",
        attributes: str = "nounwind",
    ) -> None:
        if any("." in label for label, _ in params):
            raise CodegenError(f"emitter: {name}: names of parameters hold no dot")
        self.name = name
        self.result = result
        self.target = target or host_target()
        self.has_fma = self.target.has_fma
        self.float_flags = FAST
        self.declares: dict[str, str] = {}
        self.globals: dict[str, str] = {}
        self.params = [Value(_without_attributes(type_), f"%{label}") for label, type_ in params]
        self._signature = ", ".join(f"{type_} %{label}" for label, type_ in params)
        self._linkage = linkage
        self._attributes = attributes
        self._count = 0
        self._allocas: list[str] = []
        self.entry = Section("entry.")  # runs once, before all else: at(b.entry) hoists to here
        self.body = Section("start.")
        self.section = self.body

    @property
    def is_internal(self) -> bool:
        """Whether only functions of its module can call it."""
        return self._linkage == "internal"

    def param(self, name: str) -> Value:
        """The parameter of this name."""
        for value in self.params:
            if value.name == f"%{name}":
                return value
        raise CodegenError(f"emitter: {self.name} has no parameter {name}")

    def emit(self, type_: str, instruction: str) -> Value:
        """Append one instruction that gives a result of this type."""
        self._count += 1
        name = f"%.{self._count}"
        self.do(f"{name} = {instruction}")
        return Value(type_, name)

    def do(self, instruction: str) -> None:
        """Append one instruction without a result."""
        self.section.append(instruction)

    def fresh(self, type_: str) -> Value:
        """A register that nothing defines yet: for phis, whose operands come later."""
        self._count += 1
        return Value(type_, f"%.{self._count}")

    def fresh_label(self, stem: str) -> str:
        """A block name that nothing uses yet."""
        self._count += 1
        return f"{stem}.{self._count}"

    def alloca(self, type_: str, count: int = 1, align: int = 64) -> Value:
        """Memory of the function's own, taken once at its entry wherever this is called."""
        place = self.fresh("ptr")
        self._allocas.append(f"{place.name} = alloca {type_}, i64 {count}, align {align}")
        return place

    @contextmanager
    def flags(self, flags: str) -> Iterator[None]:
        """Use these fast-math flags inside (``EXACT``: none)."""
        before, self.float_flags = self.float_flags, flags
        try:
            yield
        finally:
            self.float_flags = before

    def text(self, name: str | None = None) -> str:
        """The finished function; the name can be another one, which nothing inside depends on."""
        head, tail = self._finished
        return f"{head}{name or self.name}{tail}"

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the finished function's text, whatever its name."""
        return hashlib.sha256(self.text("0").encode()).hexdigest()

    @cached_property
    def _finished(self) -> tuple[str, str]:
        """The text before the name and after it; nothing can be added from now on."""
        if self.section is not self.body:
            raise CodegenError(f"emitter: {self.name} is still inside a loop or branch")
        if not self.body.terminated:
            if self.result != "void":
                raise CodegenError(f"emitter: {self.name} ends without returning {self.result}")
            self.ret()
        linkage = self._linkage + " " if self._linkage else ""
        lines = [f"({self._signature}) {self._attributes} {{", "entry.:"]
        lines.extend(f"  {line}" for line in self._allocas)
        self.entry.render(lines)
        lines.append("  br label %start.")
        lines.append("start.:")
        self.body.render(lines)
        lines.append("}\n")
        self.entry.close()
        self.body.close()
        return f"define {linkage}{self.result} @", "\n".join(lines)


def _without_attributes(type_: str) -> str:
    """``"ptr noalias"`` is of type ``"ptr"``; a vector type has spaces of its own."""
    end = type_.index(">") + 1 if type_.startswith("<") else (type_ + " ").index(" ")
    return type_[:end]


class Module:
    """Functions, what they declare and the constants they share, as one text."""

    def __init__(self) -> None:
        self._functions: dict[str, str] = {}
        self._canonical: dict[str, str] = {}  # text under a placeholder name -> the function that has it
        self._declares: dict[str, str] = {}
        self._globals: dict[str, str] = {}

    def add(self, function: Builder, *, deduplicate: bool = False) -> str:
        """Take a finished function; gives the name to call it by.

        ``deduplicate``: a function of equal text under another name stands in for this one.
        """
        if function.name in self._functions:
            raise CodegenError(f"emitter: the module already has a function {function.name}")
        canonical = function.text("0")
        if deduplicate and canonical in self._canonical:
            return self._canonical[canonical]
        self._canonical.setdefault(canonical, function.name)
        self._functions[function.name] = function.text()
        self._declares.update(function.declares)
        self._globals.update(function.globals)
        return function.name

    def add_global(self, name: str, definition: str) -> Value:
        """A global of the module, given by what follows ``@name =``."""
        self._globals[name] = f"@{name} = {definition}"
        return Value("ptr", f"@{name}")

    @property
    def functions(self) -> tuple[str, ...]:
        """The names of its functions, in the order they came."""
        return tuple(self._functions)

    def text(self) -> str:
        """The module: globals, declarations in name order, functions in the order they came."""
        declares = [line for name, line in sorted(self._declares.items()) if name not in self._functions]
        constants = [line for _, line in sorted(self._globals.items())]
        return "\n".join([*constants, *declares, *self._functions.values()]) + "\n"
