"""The environment's flags: defaults, values, errors; keywords of `gc.function` go before them."""

from pathlib import Path

import numpy as np
import pytest

import graphc as gc
from graphc import flags
from graphc.errors import ArgumentError, FlagError

NAMES = ("DEBUG", "CHECK", "DUMP", "SKIP", "BACKEND")


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(f"GRAPHC_{name}", raising=False)


def compiled(**keywords):
    x = gc.placeholder(("n",), "float64", name="x")
    return gc.function([x], gc.exp(x * 2.0) + 1.0, **keywords)


def test_defaults(monkeypatch):
    assert flags.read() == flags.Flags(debug=0, check=1, dump=None, skip=frozenset(), backend="llvm")
    for name in NAMES:
        monkeypatch.setenv(f"GRAPHC_{name}", "")
    assert flags.read() == flags.Flags()


def test_values(monkeypatch):
    for name, value in zip(NAMES, ("3", "2", "some/folder", " fuse, cse ,", "numpy")):
        monkeypatch.setenv(f"GRAPHC_{name}", value)
    assert flags.read() == flags.Flags(3, 2, Path("some/folder"), frozenset({"fuse", "cse"}), "numpy")


@pytest.mark.parametrize(
    "name, value", [("DEBUG", "6"), ("DEBUG", "-1"), ("DEBUG", "yes"), ("CHECK", "4"), ("CHECK", "1.0")]
)
def test_levels_out_of_range(monkeypatch, name, value):
    monkeypatch.setenv(f"GRAPHC_{name}", value)
    with pytest.raises(FlagError, match=f"GRAPHC_{name}={value}: expected a number from 0 to"):
        compiled()


def test_wrong_names(monkeypatch):
    monkeypatch.setenv("GRAPHC_SKIP", "fues")
    with pytest.raises(ArgumentError, match="no pass 'fues'") as caught:
        compiled()
    assert caught.value.hint == "did you mean 'fuse'?"
    monkeypatch.setenv("GRAPHC_SKIP", "unify")
    with pytest.raises(ArgumentError, match="required"):
        compiled()
    monkeypatch.delenv("GRAPHC_SKIP")
    monkeypatch.setenv("GRAPHC_BACKEND", "nunpy")
    with pytest.raises(ArgumentError, match="no backend 'nunpy'") as caught:
        compiled()
    assert caught.value.hint == "did you mean 'numpy'?"


def test_skipping(monkeypatch):
    def stages(f):
        return [s.name for s in f.trace.stages]

    monkeypatch.setenv("GRAPHC_SKIP", "cse")
    assert "cse" not in stages(compiled()) and "fuse" in stages(compiled())
    both = stages(compiled(skip="fuse, fold"))
    assert both == stages(compiled(skip=["fuse", "fold"])) and not {"cse", "fuse", "fold"} & set(both)


def test_keywords_go_before_the_environment(monkeypatch):
    monkeypatch.setenv("GRAPHC_BACKEND", "numpy")
    assert compiled().backend == "numpy" and compiled(backend="llvm").backend == "llvm"


@pytest.mark.parametrize("keywords", [{"check": 9}, {"check": -1}, {"check": "2"}, {"debug": 6}, {"debug": "1"}])
def test_keywords_out_of_range(keywords):
    with pytest.raises(ArgumentError, match="expected a level from 0 to"):
        compiled(backend="numpy", **keywords)


def test_debug_prints_to_the_error_stream(monkeypatch, capsys):
    monkeypatch.setenv("GRAPHC_DEBUG", "1")
    compiled(backend="numpy")
    captured = capsys.readouterr()
    assert "rules fired" in captured.err and "simplify" in captured.err and not captured.out
    compiled(backend="numpy", debug=0)
    assert not capsys.readouterr().err


def test_dumps_are_numbered_and_replayable(monkeypatch, tmp_path):
    monkeypatch.setenv("GRAPHC_DUMP", str(tmp_path / "dump"))
    f = compiled(backend="numpy")
    files = sorted(p for p in (tmp_path / "dump").iterdir() if p.is_file())
    stages = ["input", *(stage.name for stage in f.trace.stages)]
    assert [p.name for p in files] == [f"{i:02d}_{name}.gir" for i, name in enumerate(stages)]
    assert files[0].read_text() == f.dump()
    for path in files:
        graph = gc.parse(path.read_text())
        (value,) = gc.ir.evaluate.evaluate(graph, [np.zeros(2)])
        assert value.tolist() == [2, 2]


@pytest.mark.parametrize("check", [0, 1, 2, 3])
def test_every_level_of_checks_accepts_what_is_right(check):
    assert compiled(backend="numpy", check=check)([0.0]).tolist() == [2]
