"""What a user reads when something is wrong: whole texts, compared with `golden/errors`.

Each file there is a program, a line `---`, and the error that the program ends in. To add one, write the program and
run `pytest tests/test_errors.py --update-golden`.
"""

import builtins
import copy
import inspect
import linecache
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import graphc as gc
from graphc import errors
from graphc.errors import GraphcError, InternalError, nearest
from graphc.ir.location import Location

GOLDEN = sorted((Path(__file__).parent / "golden" / "errors").glob("*.txt"))
CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, GraphcError)]

#: Words that mean something only to who has read the source of graphc.
INTERNAL = re.compile(r"infer|OpDef|TensorType|\bDim\b|Traceback|NoneType|object at 0x|graphc/|/site-packages/|_\w+\(")


def error_of(program, backend, monkeypatch):
    """The text of the error that a program, in a file model.py, ends in."""
    monkeypatch.setenv("GRAPHC_BACKEND", backend)
    lines = program.splitlines(keepends=True)
    monkeypatch.setitem(linecache.cache, "model.py", (len(program), None, lines, "model.py"))
    with pytest.raises(GraphcError) as caught:
        exec(compile(program, "model.py", "exec"), {"gc": gc, "np": np, "__name__": "__main__"})
    assert not isinstance(caught.value, InternalError)
    return f"{type(caught.value).__name__}: {caught.value}\n"


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_texts(path, backend, monkeypatch, update_golden):
    program, _, expected = path.read_text(encoding="utf-8").partition("---\n")
    found = error_of(program, backend, monkeypatch)
    if update_golden and backend == "numpy":
        path.write_text(f"{program}---\n{found}", encoding="utf-8")
        return
    assert found == expected
    assert not INTERNAL.search(found)
    assert all(len(line) < 200 for line in found.splitlines())


def test_there_are_golden_texts():
    assert len(GOLDEN) > 30


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_every_class_is_public_and_a_builtin_exception_too(cls):
    assert getattr(gc, cls.__name__) is cls and cls.__doc__
    if cls is not GraphcError:
        assert any(issubclass(cls, b) for n, b in vars(builtins).items() if inspect.isclass(b) and n.endswith("Error"))


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_errors_survive_pickling_and_copying(cls):
    place = Location("<a>", 3, "f", ("grad",))
    error = cls("message", location=place, origins={"x": "placeholder, a.py:1"}, hint="hint")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is cls and str(again) == str(error) and again.location == error.location


def test_the_parts_of_a_text():
    plain = GraphcError("message")
    assert str(plain) == "message" and (plain.location, plain.origins, plain.hint) == (None, {}, None)
    full = GraphcError("message", location=Location("<a>", 3, "f"), origins={"x": "here", "y": "there"}, hint="do that")
    assert str(full) == "message\n  --> <a>:3 in f\n  x: here        y: there\n  hint: do that"
    assert str(GraphcError("", hint="")) == ""


def test_nearest():
    assert nearest("fues", ["fuse", "fold"]) == "did you mean 'fuse'?"
    assert nearest("zzz", ["fuse"]) is None and nearest("", []) is None
    assert nearest("a", iter(["ab"])) == "did you mean 'ab'?"
