"""Random small graphs of just those ops and constants that rules look at: every pass keeps every value.

The graphs of tests/fuzz hold all ops, and so rarely what a rule matches; these hold little else.
"""

import random
from collections import Counter

import numpy as np
import pytest
from checking import ALL_NATIVE

import graphc as gc
from graphc.errors import GraphcError
from graphc.ir.close import close
from graphc.passes.manager import optimise
from graphc.passes.rewrite import all_rules

FLOATS, INTEGERS = ("float32", "float64"), ("int32", "int8", "uint8", "int64")
FLOAT_VALUES = (0.0, -0.0, 1.0, -1.0, 2.0, 3.0, 0.5, 8.0, np.inf, -np.inf, np.nan)
INTEGER_VALUES = (0, 1, 2, 3, 4)
FLOAT_UNARY = (gc.exp, gc.log, gc.log1p, gc.sqrt, gc.sigmoid, gc.erf, gc.softplus)
UNARY = (gc.negative, gc.abs, gc.floor, gc.ceil, gc.round, gc.trunc, gc.stop_gradient, gc.negative, gc.abs)
BINARY = (gc.add, gc.subtract, gc.multiply, gc.add, gc.subtract, gc.multiply, gc.maximum, gc.minimum)
INTEGER_BINARY = (gc.floor_divide, gc.remainder, gc.fmod, gc.bitwise_and, gc.bitwise_or, gc.bitwise_xor,
                  gc.bitwise_left_shift)  # fmt: skip
BOOLEAN_BINARY = (gc.logical_and, gc.logical_or, gc.logical_xor)
COMPARISONS = (gc.equal, gc.not_equal, gc.less, gc.less_equal, gc.greater, gc.greater_equal)
REDUCTIONS = (gc.sum, gc.prod, gc.max, gc.min)


class Builder:
    """A pool of tensors that grows by one op at a time."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        shapes = [(), (3,), ("n", 3), (2, 3), (1, 3), ("n", 1), (2, 1, 3)]
        dtypes = self.rng.sample(FLOATS + INTEGERS + ("bool",), 2)
        self.inputs = [
            gc.placeholder(self.rng.choice(shapes), dtype, name=f"x{i}") for i, dtype in enumerate([*dtypes, *dtypes])
        ]
        self.pool = list(self.inputs)

    def pick(self, *kinds):
        """A tensor of the pool, rather a late one."""
        found = [t for t in self.pool if not kinds or t.dtype.kind in kinds]
        return found[min(int(self.rng.triangular(0, len(found), len(found))), len(found) - 1)] if found else None

    def partner(self, x):
        """A constant of x's dtype, x itself, or another tensor of its dtype."""
        choice = self.rng.random()
        if choice < 0.15:
            return x
        if choice < 0.6:
            kind = x.dtype.kind
            value = self.rng.choice(FLOAT_VALUES if kind == "f" else (True, False) if kind == "b" else INTEGER_VALUES)
            scalar = gc.constant(value, x.dtype)
            return scalar if self.rng.random() < 0.7 else gc.broadcast_to(scalar, x.shape)
        return self.rng.choice([t for t in self.pool if t.dtype == x.dtype])

    def step(self):
        makers = (self.arithmetic, self.arithmetic, self.logic, self.selection, self.movement, self.other)
        made = self.rng.choice(makers)()
        if made is not None and made.ndim <= 3:
            self.pool.append(made)

    def arithmetic(self):
        x = self.pick("f", "i", "u")
        if x is None:
            return None
        if self.rng.random() < 0.35:
            return self.rng.choice(UNARY + (FLOAT_UNARY if x.dtype.kind == "f" else ()))(x)
        extra = (gc.divide, gc.divide, gc.pow) if x.dtype.kind == "f" else INTEGER_BINARY
        operands = [x, self.partner(x)]
        self.rng.shuffle(operands)
        return self.rng.choice(BINARY + extra)(*operands)

    def logic(self):
        x = self.pick("b")
        if x is None or self.rng.random() < 0.4:
            y = self.pick()
            return self.rng.choice(COMPARISONS)(y, self.partner(y))
        if self.rng.random() < 0.3:
            return gc.logical_not(x)
        return self.rng.choice(BOOLEAN_BINARY)(x, self.partner(x))

    def selection(self):
        condition, x = self.pick("b"), self.pick()
        if condition is None:
            return self.logic()
        operands = [x, self.partner(x)]
        self.rng.shuffle(operands)
        return gc.where(condition, *operands)

    def movement(self):
        x = self.pick()
        choice = self.rng.randrange(8)
        if choice == 0:
            return gc.permute_dims(x, self.rng.sample(range(x.ndim), x.ndim))
        if choice == 1:
            return gc.reshape(x, self.rng.choice([x.shape, (1, *x.shape), (*x.shape, 1), (-1,)]))
        if choice == 2 and x.ndim < 3:
            return gc.broadcast_to(x, (2, *x.shape))
        if choice in (3, 4) and x.ndim and x.shape[-1] == 3:
            key = self.rng.choice([slice(None), slice(1, 3), slice(None, None, 2), slice(None, None, -1), slice(0, 1)])
            return x[..., key]
        if choice == 5 and x.ndim:
            return gc.concat([x, self.rng.choice([x, x[..., :0], x[..., -1:]])], axis=x.ndim - 1)
        if choice == 6 and x.ndim and x.shape[-1] == 3:
            return gc.concat([x[..., :1], x[..., 1:]], axis=x.ndim - 1)
        if choice == 7 and x.ndim and x.shape[-1] == 3:
            return gc.take(x, gc.constant(self.rng.choice([[0, 1], [2, 0], [2, 1, 0], [1, 1]])), axis=x.ndim - 1)
        return None

    def other(self):
        x = self.pick()
        choice = self.rng.randrange(4)
        if choice == 0:
            return x.astype(self.rng.choice(FLOATS + INTEGERS + ("bool",)))
        if choice == 1:
            axes = [a for a in range(x.ndim) if self.rng.random() < 0.5]
            function = self.rng.choice((gc.all, gc.any) if x.dtype.kind == "b" else REDUCTIONS)
            return function(x, axis=tuple(axes), keepdims=self.rng.random() < 0.5)
        x = self.pick("f")
        if x is None:
            return None
        if choice == 2 and x.ndim:
            e = gc.exp(x)
            return self.rng.choice([
                lambda: gc.softmax(x, axis=-1), lambda: gc.log(gc.sum(e, axis=-1)),
                lambda: e / gc.sum(e, axis=-1, keepdims=True), lambda: gc.log(gc.softmax(x, axis=0)),
            ])()  # fmt: skip
        return self.rng.choice([
            lambda: gc.log(1 + x), lambda: gc.exp(x) - 1, lambda: 1 / (1 + gc.exp(-x)), lambda: 1 / gc.sqrt(x),
            lambda: gc.log(1 + gc.exp(x)), lambda: 1 - gc.sigmoid(x), lambda: gc.log(gc.sigmoid(x)),
        ])()  # fmt: skip

    def graph(self):
        for _ in range(self.rng.randrange(4, 14)):
            try:
                self.step()
            except GraphcError:
                continue  # shapes that do not broadcast and the like
        outputs = [t for t in self.pool if t not in self.inputs][-3:] or self.inputs[:1]
        return close("random", self.inputs, outputs)


def fired_on(seeds):
    total = Counter()
    for seed in seeds:
        given = Builder(seed).graph()
        total.update(optimise(given, native=ALL_NATIVE, check=3, seed=seed).fired)
    return total


@pytest.mark.parametrize("start", range(0, 200, 20))
def test_values_are_kept(start):
    assert fired_on(range(start, start + 20))


@pytest.mark.slow
def test_values_are_kept_at_length():
    """5,000 graphs; besides, most rules fire on some of them."""
    fired = fired_on(range(1000, 6000))
    exact = [rule.full_name for rule in all_rules() if not rule.fast_math]
    assert sum(name in fired for name in exact) >= 0.8 * len(exact)
