"""From text to machine code: what is refused, and that what is loaded stays."""

import ctypes
import gc
import threading

import pytest

from graphc.backends.llvm import codegen
from graphc.backends.llvm.codegen import assembly, emit_object
from graphc.backends.llvm.elf import ObjectFile
from graphc.backends.llvm.emitter import Builder, Module
from graphc.backends.llvm.jit import compile_module
from graphc.backends.llvm.loader import load_object
from graphc.backends.llvm.symbols import EXTERNAL_SYMBOLS, external_addresses
from graphc.errors import CodegenError


def text_of(*builders):
    module = Module()
    for builder in builders:
        module.add(builder)
    return module.text()


def calls(symbol, name="f"):
    """double name(double x) { return symbol(x); }"""
    b = Builder(name, [("x", "double")], "double")
    b.ret(b.call("double", symbol, b.params[0]))
    return b


def as_function(library, name="f"):
    return library.function(name, ctypes.c_double, ctypes.c_double)


def test_libm_is_found_by_name():
    library = compile_module(text_of(calls("erf")), ["f"])
    assert as_function(library)(0.5) == pytest.approx(0.5204998778130465, rel=1e-15)


def test_an_unknown_symbol_is_named_before_linking():
    with pytest.raises(CodegenError, match="unknown symbol no_such_function"):
        compile_module(text_of(calls("no_such_function")), ["f"])
    assert as_function(compile_module(text_of(calls("cbrt")), ["f"]))(8.0) == 2.0, "the linker survived it"


def test_a_symbol_that_only_code_generation_brings_in_is_seen():
    """``frem`` is an instruction in the text and a call of fmod in the object."""
    b = Builder("f", [("x", "double")], "double")
    b.ret(b.frem(b.params[0], 3.0))
    assert "fmod" not in text_of(b)
    assert ObjectFile(emit_object(text_of(b))).undefined.keys() <= {"fmod"}
    assert as_function(compile_module(text_of(b), ["f"]))(7.5) == 1.5


def test_symbols_of_the_caller():
    callback = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(lambda x: x + 1)
    address = ctypes.cast(callback, ctypes.c_void_p).value
    library = compile_module(text_of(calls("mine")), ["f"], symbols={"mine": address})
    assert as_function(library)(41.0) == 42.0


def test_the_platform_has_the_listed_symbols():
    missing = set(EXTERNAL_SYMBOLS) - external_addresses().keys()
    assert not missing & {"memcpy", "memset", "powf", "pow", "sinf", "sin", "fmod", "fmodf"}
    assert all(external_addresses().values())


@pytest.mark.parametrize(
    "body,words",
    [
        ("  ret i64 %nowhere", "line 2: ret i64 %nowhere|ret i64 %nowhere"),
        ("  %a = add i64 %x, 1.5\n  ret i64 %a", "add i64 %x, 1.5"),
        ("  ret i32 0", "ret i32 0"),
        ("  br label %here\nhere:\n  %a = add i64 %b, 1\n  %b = add i64 %x, 1\n  ret i64 %a", "dominate"),
    ],
)
def test_bad_ir_is_shown(body, words):
    with pytest.raises(CodegenError, match=words):
        emit_object(f"define i64 @f(i64 %x) {{\n{body}\n}}\n")


def test_a_missing_export_is_a_typed_error():
    with pytest.raises(CodegenError, match="nothing"):
        compile_module(text_of(calls("exp")), ["nothing"])
    with pytest.raises(CodegenError, match="exports no g"):
        compile_module(text_of(calls("exp")), ["f"]).address("g")


def test_a_damaged_object_is_refused():
    image = emit_object(text_of(calls("exp")))
    for cut in (64, len(image) // 2, len(image) - 70):
        with pytest.raises(CodegenError):
            load_object(image[:cut], ["f"])


def test_objects_can_be_kept_and_loaded_again():
    image = emit_object(text_of(calls("log", "g")))
    first, second = load_object(image, ["g"]), load_object(image, ["g"])
    assert first.address("g") != second.address("g")
    del first
    gc.collect()
    assert as_function(second, "g")(1.0) == 0.0


def test_libraries_are_independent_of_each_other():
    libraries = [compile_module(text_of(calls(name)), ["f"]) for name in ("exp", "cos", "cosh")]
    assert [as_function(library)(0.0) for library in libraries] == [1.0, 1.0, 1.0]
    del libraries[1]
    gc.collect()
    assert [as_function(library)(0.0) for library in libraries] == [1.0, 1.0]


@pytest.mark.parametrize("opt", [0, 1, 2, 3])
def test_every_level_of_optimisation(opt):
    assert as_function(compile_module(text_of(calls("exp")), ["f"], opt))(0.0) == 1.0


def test_assembly_is_readable_text():
    text = assembly(text_of(calls("exp")))
    assert "f:" in text and "exp" in text


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_several_threads_give_object_files_in_order(monkeypatch, threads):
    monkeypatch.setattr(codegen, "_TEXT_PER_THREAD", 1)
    texts = [f"define i64 @f() {{ ret i64 {number} }}" for number in range(7)]
    expected = [emit_object(text, 0) for text in texts]
    assert codegen.emit_objects([(text, 0) for text in texts], threads) == expected
    for place in (0, 6):
        wrong = [*texts[:place], "no IR", *texts[place:]]
        with pytest.raises(CodegenError, match="rejects"):
            codegen.emit_objects([(text, 0) for text in wrong], threads)


def test_threads_may_compile_at_once():
    results, errors = {}, []

    def work(number):
        try:
            b = Builder("f", [("x", "double")], "double")
            b.ret(b.fadd(b.params[0], float(number)))
            for _ in range(5):
                results[number] = as_function(compile_module(text_of(b), ["f"]))(1.0)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert results == {number: number + 1.0 for number in range(6)}
