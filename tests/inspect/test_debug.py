"""The GRAPHC_DEBUG ladder: each level prints what the lower ones do, and more; all to the error stream."""

import itertools
import re

import pytest

import graphc as gc
from graphc.errors import ArgumentError
from graphc.inspect.table import table


def compiled(capfd, level, backend="llvm", **options):
    x = gc.placeholder(("n", 3), "float32", name="x")
    gc.function([x], gc.softmax(x * 1.0), backend=backend, name="rows", debug=level, **options)
    out, err = capfd.readouterr()
    assert out == ""
    return err


def test_level_0_prints_nothing(capfd):
    assert compiled(capfd, 0) == ""


def test_level_1_is_the_pass_table(capfd):
    err = compiled(capfd, 1)
    assert err.startswith("== graphc rows: llvm, ")
    assert re.search(r"^  pass +ms +tensors +rules fired$", err, re.M)
    assert re.search(r"^  simplify +\d+\.\d\d +\d+ +-> +\d+ .*multiply_one 1", err, re.M)
    assert re.search(r"^  total +\d+\.\d\d +4 +-> +\d+$", err, re.M) and "-- plan" not in err
    places = {line.index("->") for line in err.splitlines() if "->" in line}
    assert len(places) == 1  # the columns are aligned


def test_each_level_has_all_of_the_one_below(capfd):
    titles = [re.findall(r"^(?:--|==) ([a-zA-Z ]+)", compiled(capfd, level), re.M) for level in range(1, 6)]
    for lower, higher in itertools.pairwise(titles):
        assert higher[: len(lower)] == lower and len(higher) > len(lower)
    assert titles[1][1:3] == ["clusters", "plan"]
    assert {"graph as written", "graph after simplify", "prune changed nothing"} <= set(titles[2])
    assert titles[4][-2:] == ["LLVM IR", "assembly"]


def test_clusters_list_their_ops(capfd):
    err = compiled(capfd, 2)
    (line,) = re.findall(r"^  %\S+ +f32\[n,3\] +.*exp.*$", err, re.M)
    assert "max" in line and "divide" in line


def test_the_interpreter_makes_no_machine_code(capfd):
    err = compiled(capfd, 5, backend="numpy")
    assert err.count("none: backend 'numpy' makes no machine code") == 2
    assert "none: no two tensors share a kernel" in compiled(capfd, 2, backend="numpy")


def test_the_environment_sets_the_level(capfd, monkeypatch):
    monkeypatch.setenv("GRAPHC_DEBUG", "1")
    assert "rules fired" in compiled(capfd, None)


def test_other_levels_are_refused(capfd):
    with pytest.raises(ArgumentError, match="expected a level from 0 to 5, not 6"):
        compiled(capfd, 6)


def test_tables_have_no_trailing_blanks():
    lines = table(["a", "b", ""], [["long cell", 1, ""], ["x", 1000, "end"]], "<><")
    assert lines == ["  a             b", "  long cell     1", "  x          1000  end"]
