"""Every op, compiled on its own by the LLVM backend, gives the value of its NumPy evaluation."""

import numpy as np
import pytest
from samples import SAMPLES, Sample

import graphc as gc
from graphc.ir.build import unpack
from graphc.ir.evaluate import evaluate_tensor
from graphc.ir.opdef import OPS, Trait
from graphc.ir.types import DTYPES, TupleType

#: Each dtype class once; the backend's own tests have all of them.
CHOSEN = {DTYPES[name] for name in ("f32", "f64", "i16", "i64", "u64", "bool")}


def chosen_dtypes(sample: Sample):
    for entry in sample.dtypes:
        if (set(entry) if isinstance(entry, tuple) else {entry}) <= CHOSEN:
            yield entry


def tolerance(sample: Sample, operands, wanted):
    """How far each element may be off; see `Sample.ulp`."""
    if OPS[sample.op].has(Trait.ELEMENTWISE):
        return sample.ulp * np.spacing(np.abs(wanted))
    sizes = [np.abs(o).max(initial=1) for o in operands if o.dtype.kind == "f"]
    return sample.ulp * np.spacing(np.maximum(np.abs(wanted), wanted.dtype.type(max(sizes, default=1))))


def check(sample: Sample, operands, found, wanted):
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    if wanted.dtype.kind != "f" or sample.ulp == 0:
        np.testing.assert_array_equal(found, wanted)
        return
    special = ~np.isfinite(wanted)
    np.testing.assert_array_equal(found[special], wanted[special])
    error = np.abs(found[~special] - wanted[~special])
    assert (error <= np.broadcast_to(tolerance(sample, operands, wanted), wanted.shape)[~special]).all(), (
        operands,
        found,
        wanted,
    )


@pytest.mark.parametrize(
    "sample", [s for s in SAMPLES if not OPS[s.op].has(Trait.EFFECT)], ids=lambda sample: sample.op
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_compiled_value_is_the_evaluated_one(sample: Sample):
    # Where many elements meet, overflow and cancellation depend on the order, which is a backend's own.
    specials = (False, True) if OPS[sample.op].has(Trait.ELEMENTWISE) or sample.ulp == 0 else (False,)
    rng = np.random.default_rng(3)
    for entry in chosen_dtypes(sample):
        inputs, outputs, feeds, checks = [], [], [], []
        for each in sample.cases:
            dtypes = sample.dtypes_of(entry, len(each.shapes))
            for special in specials:
                operands = sample.arrays(each, dtypes, rng, special)
                placeholders, result = sample.build(each, dtypes)
                value = evaluate_tensor(result, operands, {})
                several = isinstance(result.type, TupleType)
                outputs += unpack(result) if several else [result]
                checks += [(operands, v) for v in (value if several else [value])]
                inputs += placeholders
                feeds += operands
        for (operands, wanted), found in zip(checks, gc.function(inputs, outputs, backend="llvm")(*feeds)):
            check(sample, operands, found, wanted)
