"""The library: equal kernels are compiled once, and their code goes when nothing uses it any more."""

import gc as garbage
import itertools
import threading
import weakref

import numpy as np
import pytest

import graphc as gc
from graphc.backends.llvm import library
from graphc.backends.llvm import linked as linked_module
from graphc.backends.llvm.kernels.loops import build_loops
from graphc.backends.llvm.library import link, module_text, symbol_of
from graphc.ir.graph import Graph

fresh = itertools.count(1)


def kernel(value=None, shape=("n",)):
    """A kernel that no other call returns, unless they agree on the value."""
    x = gc.placeholder(shape, "float64")
    factor = gc.constant(float(next(fresh)) / 3 if value is None else value, "float64")
    return build_loops(Graph("body", (x,), (x * factor,)))


@pytest.fixture
def modules(monkeypatch):
    """The texts that are compiled."""
    texts = []

    def counted(codes, **kwargs):
        texts.extend(code.text for code in codes)
        return compile_modules(codes, **kwargs)

    compile_modules = library.compile_modules
    monkeypatch.setattr(library, "compile_modules", counted)
    return texts


def defined(texts):
    return [line for text in texts for line in text.splitlines() if line.startswith("define") and "kernel_" in line]


def test_equal_kernels_have_one_symbol():
    assert symbol_of(kernel(1.25).function) == symbol_of(kernel(1.25).function)
    assert symbol_of(kernel(1.25).function) != symbol_of(kernel(1.5).function)
    assert symbol_of(kernel(1.25, (40,)).function) == symbol_of(kernel(1.25, (50,)).function)


def test_equal_kernels_of_one_program_are_compiled_once(modules):
    value = next(fresh) / 7
    linked = link([kernel(value) for _ in range(5)], [])
    assert len(defined(modules)) == 1
    assert len([s for s in linked.addresses if s.startswith("kernel_")]) == 1


def test_equal_kernels_of_two_programs_are_compiled_once(modules):
    value = next(fresh) / 7
    one = link([kernel(value), kernel()], [])
    two = link([kernel(value), kernel()], [])
    assert len(defined(modules)) == 3
    (shared,) = one.addresses.keys() & two.addresses.keys()
    assert one.addresses[shared] == two.addresses[shared]


def check_freed():
    value = next(fresh) / 7
    one = link([kernel(value)], [])
    two = link([kernel(value), kernel()], [])
    freed = [weakref.ref(each) for each in one.libraries]
    del one
    garbage.collect()
    assert all(ref() is not None for ref in freed), "the second program still calls it"
    freed += [weakref.ref(each) for each in two.libraries]
    del two
    garbage.collect()
    assert all(ref() is None for ref in freed), "nothing calls it any more"
    return value


def test_code_is_freed_when_nothing_uses_it(modules):
    value = check_freed()
    before = len(defined(modules))
    link([kernel(value)], [])
    assert len(defined(modules)) == before + 1


def test_a_function_frees_its_code():
    x = gc.placeholder((3,), "float32", name="x")
    f = gc.function([x], gc.exp(x * float(next(fresh))), backend="llvm")
    f(np.ones(3, "float32"))
    before = len(linked_module._compiled)
    del f
    garbage.collect()
    assert len(linked_module._compiled) < before


def test_many_kernels_are_cut_into_modules(modules, monkeypatch):
    monkeypatch.setattr(library, "OPTIMISED_KERNELS", 5)
    monkeypatch.setattr(library, "KERNELS_PER_MODULE", 4)
    linked = link([kernel() for _ in range(10)], [])
    assert sorted(len(defined([text])) for text in modules) == [3, 3, 4]
    assert len(linked.addresses) == 10


def test_threads_have_modules_of_about_equal_text(modules):
    x = gc.placeholder(("n",), "float64")
    y = x * (next(fresh) / 7)
    for function in (gc.exp, gc.sin, gc.tanh, gc.erf):
        y = function(y)
    long = build_loops(Graph("body", (x,), (y,)))
    link([kernel(), kernel(), long, kernel()], [], threads=2)
    assert [len(defined([text])) for text in modules] == [2, 2]
    modules.clear()
    link([long, *[kernel() for _ in range(4)]], [], opt_level=1, threads=2)
    assert sorted(len(defined([text])) for text in modules) == [1, 4]


def test_a_first_tier_is_not_kept_but_for_what_is_named():
    kernels = [kernel() for _ in range(4)]
    long = symbol_of(kernels[0].function)
    first = link(kernels, [], first_tier={long})
    origins = {s: str(lib.outcome) for lib, symbols in first.libraries.items() for s in symbols}
    assert [s for s, origin in origins.items() if "first tier" not in origin] == [long]
    second = link(kernels, [])
    assert second.addresses[long] == first.addresses[long]
    assert all(second.addresses[s] != first.addresses[s] for s in origins if s != long)
    assert second.stored is not None or linked_module.object_cache().folder is None


def test_many_kernels_run():
    x = gc.placeholder(("n",), "float32", name="x")
    outputs, expected = [], []
    array = np.arange(5, dtype="float32")
    for i in range(library.OPTIMISED_KERNELS + 10):
        outputs.append(gc.cumsum(x * float(i), axis=0) + float(i))
        expected.append(np.cumsum(array * np.float32(i), dtype="float32") + np.float32(i))
    for one, two in zip(gc.function([x], outputs, backend="llvm")(array), expected):
        np.testing.assert_array_equal(one, two)


def test_helpers_come_with_the_kernels_that_call_them():
    x = gc.placeholder(("n",), "float32")
    y = x
    for function in (gc.exp, gc.sin, gc.tanh, gc.erf, gc.log1p, gc.cos, gc.sinh, gc.atan, gc.tan, gc.cosh):
        y = function(y)
    built = build_loops(Graph("body", (x,), (y,)))
    assert built.helpers
    text = module_text([("kernel_a", built), ("kernel_b", build_loops(Graph("body", (x,), (y,))))])
    for helper in built.helpers:
        assert text.count(f"@{helper.name}(") == 3  # one definition, two calls
        assert sum(line.startswith("define") and helper.name in line for line in text.splitlines()) == 1


def test_two_threads_may_link_at_once():
    kernels = [kernel() for _ in range(4)]
    found = []

    def work():
        for _ in range(3):
            found.append(link([kernel(k / 7) for k in range(1000, 1004)] + kernels, []))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(found) == 9
    assert len({frozenset(linked.addresses) for linked in found}) == 1


def test_kernels_that_share_a_symbol_wrongly_are_caught(monkeypatch):
    monkeypatch.setattr(library, "symbol_of", lambda function: "kernel_same")
    linked = link([kernel(2.0), kernel(3.0)], [])
    with pytest.raises(AssertionError):
        assert len([s for s in linked.addresses if s.startswith("kernel_")]) == 2


def test_code_that_is_never_freed_is_caught(monkeypatch):
    monkeypatch.setattr(linked_module, "_compiled", {})
    with pytest.raises(AssertionError, match="nothing calls it any more"):
        check_freed()
