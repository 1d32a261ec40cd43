import itertools

import numpy as np
import pytest
from checking import check, graph, rules_of, same_values

from graphc.ir.types import ALL_DTYPES, SHORT_NAMES
from graphc.passes.rewrite import simplify
from graphc.passes.simplify_casts import _is_lossless

RUN = rules_of(simplify)
NAMES = [SHORT_NAMES[dtype] for dtype in ALL_DTYPES]


def two_casts(source, middle, target):
    body = f"%0 = cast %x {{dtype={middle}}} : {middle}[n]\n%1 = cast %0 {{dtype={target}}} : {target}[n]"
    return graph(f"%x: {source}[n]", body)


@pytest.mark.parametrize("name", NAMES)
def test_casts_there_and_back_keep_every_value(name):
    for middle, last in itertools.product(NAMES, NAMES):
        given = two_casts(name, middle, last)
        found = RUN(given)
        if len(found.tensors) < len(given.tensors):
            same_values(given, found)


@pytest.mark.parametrize(
    ("source", "middle", "target", "casts"),
    [
        ("f32", "f64", "f32", 0), ("f64", "f32", "f64", 2), ("i8", "i32", "i8", 0), ("i32", "i8", "i32", 2),
        ("i64", "f64", "i64", 2), ("i32", "f64", "i32", 0), ("bool", "i8", "bool", 0), ("u8", "f32", "i8", 2),
        ("f32", "f64", "i32", 2), ("u8", "u16", "f64", 1), ("i8", "u16", "i8", 2), ("f32", "f64", "bool", 1),
    ],
)  # fmt: skip
def test_which_casts_stay(source, middle, target, casts):
    found = RUN(two_casts(source, middle, target))
    assert sum(t.op.name == "cast" for t in found.tensors) == casts


def test_lossless_is_what_it_says():
    for source, target in itertools.product(ALL_DTYPES, ALL_DTYPES):
        if source.kind in "iub" and _is_lossless(source, target):
            limits = (0, 1) if source.kind == "b" else (np.iinfo(source).min, np.iinfo(source).max)
            values = np.array(limits, source)
            assert (values.astype(target).astype(source) == values).all(), (source, target)
            assert (values.astype(target) == values).all()


@pytest.mark.parametrize("op", ["floor", "ceil", "trunc", "round"])
def test_what_is_whole_is_not_rounded(op):
    check(RUN, "%x: i32[n]", f"%0 = {op} %x : i32[n]", "return %x")
    check(
        RUN, "%x: i32[n]",
        f"%0 = cast %x {{dtype=f32}} : f32[n]\n%1 = {op} %0 : f32[n]", "%0 = cast %x {dtype=f32} : f32[n]",
    )  # fmt: skip
    check(RUN, "%x: f32[n]", f"%0 = round %x : f32[n]\n%1 = {op} %0 : f32[n]", "%0 = round %x : f32[n]")
