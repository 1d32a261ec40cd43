"""From IR text to object code and assembly, by LLVM.

llvmlite holds one lock around every call of LLVM, although LLVM itself needs none where each thread has a
context and a target machine of its own. The two long calls, parsing and emitting, go past that lock where
llvmlite still wraps functions as it does today; else they take turns.

Invariant: no IR passes run: the text is written in its final shape, and passes make explicit vectors slower.
"""

from __future__ import annotations

import ctypes
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

import llvmlite.binding as llvm
from llvmlite.binding import ffi

from graphc.backends.llvm import library_pages
from graphc.backends.llvm.target import Target, host_target
from graphc.errors import CodegenError

_lock = threading.Lock()

#: One more thread pays from so many characters on.
_TEXT_PER_THREAD = 1 << 16

#: Code generators that nobody uses now, by target and level of optimisation. One serves one thread at a time.
_idle: dict[tuple[Target, int], list[llvm.TargetMachine]] = {}


def emit_object(text: str, opt: int = 2, *, target: Target | None = None) -> bytes:
    """The object file of IR text, for linking and for the disk cache.

    Args:
        text: a module.
        opt: how much the code generator optimises, 0 to 3.
        target: the machine; by default this one.

    Raises:
        CodegenError: LLVM rejects the text.
    """
    with _target_machine(target or host_target(), opt) as machine:
        return _emitted(text, machine, is_object=True)


def emit_objects(texts: Sequence[tuple[str, int]], threads: int, *, target: Target | None = None) -> list[bytes]:
    """The object files of several texts, each with its level of optimisation, by several threads at once.

    This one is among them; and where there is little text it is the only one, since others start with cold memory.
    """
    threads = min(threads, len(texts), 1 + sum(len(text) for text, _ in texts) // _TEXT_PER_THREAD)
    waiting = deque(enumerate(texts))
    found: dict[int, bytes] = {}

    def work() -> None:
        while waiting:
            try:
                number, (text, opt) = waiting.popleft()
            except IndexError:  # another thread was faster
                return
            found[number] = emit_object(text, opt, target=target)

    if threads <= 1:
        work()
    else:
        with ThreadPoolExecutor(threads - 1, thread_name_prefix="graphc-codegen") as others:
            working = [others.submit(work) for _ in range(threads - 1)]
            work()
        for each in working:
            each.result()
    return [found[number] for number in range(len(texts))]


def assembly(text: str, opt: int = 2, *, target: Target | None = None) -> str:
    """The assembly of IR text, to be read."""
    with _target_machine(target or host_target(), opt) as machine:
        return _emitted(text, machine, is_object=False).decode()


def _emitted(text: str, machine: llvm.TargetMachine, *, is_object: bool) -> bytes:
    context = llvm.create_context()
    module = _parsed(text, context)
    try:
        module.triple = machine.triple
        module.data_layout = str(machine.target_data)
        _verify(module, text)
        with ffi.OutputString() as message:
            buffer = _unlocked("LLVMPY_TargetMachineEmitToMemory")(machine, module, int(is_object), message)
            if not buffer:
                raise CodegenError(f"jit: code generation failed: {message}")
        try:
            start, size = ffi.lib.LLVMPY_GetBufferStart(buffer), ffi.lib.LLVMPY_GetBufferSize(buffer)
            return ctypes.string_at(start, size)
        finally:
            ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)
    finally:
        module.close()  # before its context
        context.close()


def _parsed(text: str, context: Any) -> llvm.ModuleRef:
    with ffi.OutputString() as message:
        module = llvm.ModuleRef(_unlocked("LLVMPY_ParseAssembly")(context, text.encode(), message), context)
        if message:
            module.close()
            context.close()
            raise CodegenError(f"jit: LLVM rejects the IR: {_with_line(str(message), text)}")
    return module


def _verify(module: llvm.ModuleRef, text: str) -> None:
    try:
        module.verify()
    except RuntimeError as error:
        raise CodegenError(f"jit: LLVM rejects the IR: {_with_line(str(error), text)}") from error


@cache
def _unlocked(name: str) -> Callable[..., Any]:
    """A function of LLVM without llvmlite's lock around it, where llvmlite still lets that be had."""
    wrapped = getattr(ffi.lib, name)
    bare: Callable[..., Any] = getattr(wrapped, "_cfn", wrapped)
    return bare


def _with_line(message: str, text: str) -> str:
    """LLVM's message with the offending line of IR, if it names one."""
    message = message.strip()
    position = re.search(r":(\d+):\d+: error", message)
    if position is None:
        return message
    lines = text.splitlines()
    number = int(position.group(1))
    line = lines[number - 1].strip() if number <= len(lines) else ""
    return message if line in message else f"{message}\n  line {number}: {line}"


@cache
def _initialise() -> None:
    """Make LLVM know the processor that it runs on; others are 10 MB of memory more."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    library_pages.give_back()


@cache
def _initialise_others() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


def _target_named(triple: str) -> llvm.Target:
    _initialise()
    try:
        return llvm.Target.from_triple(triple)
    except RuntimeError:
        _initialise_others()
        return llvm.Target.from_triple(triple)


@contextmanager
def _target_machine(target: Target, opt: int) -> Iterator[llvm.TargetMachine]:
    """A code generator for one thread."""
    idle = _idle.setdefault((target, opt), [])
    try:
        machine = idle.pop()
    except IndexError:
        machine = _new_machine(target, opt)
    try:
        yield machine
    finally:
        idle.append(machine)


def _new_machine(target: Target, opt: int) -> llvm.TargetMachine:
    with _lock:
        try:
            found = _target_named(target.triple)
        except RuntimeError as error:
            raise CodegenError(f"jit: no code generator for {target.triple}: {error}") from error
        return found.create_target_machine(
            cpu=target.cpu, features=target.features, opt=opt, reloc="pic", codemodel="small"
        )


__all__ = ["assembly", "emit_object", "emit_objects"]
