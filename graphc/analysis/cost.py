"""What tensors cost: arithmetic operations, bytes moved, and the time that these take at least.

Counts follow the usual convention: one for each addition, multiplication, comparison or function of an element,
and 2MNK for a matrix product. Time is the roofline (S. Williams et al., "Roofline: an insightful visual
performance model", CACM 52(4), 2009): the larger of arithmetic at peak and memory at full bandwidth.

Invariant: costs are exact integers, evaluated for given sizes; sources and views cost nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from graphc.errors import ArgumentError
from graphc.ir import dims
from graphc.ir.dims import Size
from graphc.ir.graph import Graph, sizes_of
from graphc.ir.opdef import Trait
from graphc.ir.tensor import Tensor
from graphc.ir.types import TupleType

#: One core of a common server: float32 operations and bytes per second. Only their ratio matters to a ranking.
PEAK_FLOPS, BANDWIDTH = 50e9, 10e9

#: Ops that change how an array is read and move nothing.
VIEWS = frozenset({"get", "reshape", "stop_gradient"})
#: Ops that read of their first operand only what they return.
PICKING = frozenset({"gather", "slice", "take", "take_along_axis"})


@dataclass(frozen=True, slots=True)
class Cost:
    """What computing one tensor takes.

    Attributes:
        flops: arithmetic operations.
        bytes: read from its operands and written to its result.
    """

    flops: int
    bytes: int

    @property
    def seconds(self) -> float:
        """A lower bound on the time of one core, by the roofline model."""
        return max(self.flops / PEAK_FLOPS, self.bytes / BANDWIDTH)

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.flops + other.flops, self.bytes + other.bytes)


def costs(graph: Graph, sizes: Mapping[str, int] | None = None) -> dict[Tensor, Cost]:
    """The cost of each tensor of `graph`.

    Args:
        graph: before or after the passes; a fused tensor moves only what it takes and gives.
        sizes: a value for each symbolic size; for one that `placeholder((None,))` made, its plain name will do.

    Raises:
        ArgumentError: a symbolic size has no value.

    >>> import graphc as gc
    >>> x = gc.placeholder(("batch", 64), "float32")
    >>> y = x @ gc.variable([[1.0] * 8] * 64, "float32")
    >>> costs(gc.function([x], y).graph, {"batch": 10})[y]
    Cost(flops=10240, bytes=4928)
    """
    values = _values(graph, sizes or {})
    return {tensor: _cost(tensor, values) for tensor in graph.tensors}


def cost_of(tensor: Tensor, sizes: Mapping[str, int], turns: int = 1) -> Cost:
    """The cost of computing one tensor, so often, for these values of the symbolic sizes."""
    once = _cost(tensor, sizes)
    return Cost(once.flops * turns, once.bytes * turns)


def total(graph: Graph, sizes: Mapping[str, int] | None = None) -> Cost:
    """The cost of the whole graph."""
    return sum(costs(graph, sizes).values(), Cost(0, 0))


def _values(graph: Graph, sizes: Mapping[str, int]) -> dict[str, int]:
    """A value for each symbol in use."""
    used = {name for tensor in graph.tensors for size in sizes_of(tensor) for name in dims.symbols_of(size)}
    values = {name: sizes.get(name, sizes.get(name.partition("'")[0])) for name in sorted(used)}
    missing = [name.partition("'")[0] for name, value in values.items() if value is None]
    if missing:
        raise ArgumentError(f"cost: no value for the size {', '.join(missing)}", hint="pass sizes={name: number}")
    return {name: value for name, value in values.items() if value is not None}


def _cost(tensor: Tensor, sizes: Mapping[str, int]) -> Cost:
    if tensor.op.has(Trait.SOURCE) or tensor.op.name in VIEWS:
        return Cost(0, 0)
    written = number_of_bytes(tensor, sizes)
    read = {operand: number_of_bytes(operand, sizes) for operand in tensor.inputs}
    if tensor.op.name in PICKING:
        read[tensor.inputs[0]] = written
    return Cost(_flops(tensor, sizes), written + sum(read.values()))


def _flops(tensor: Tensor, sizes: Mapping[str, int]) -> int:
    if tensor.op.name == "fused":
        return sum(_flops(member, sizes) for member in tensor.attrs["body"].tensors)
    if tensor.op.has(Trait.SOURCE) or tensor.op.has(Trait.MOVEMENT) or tensor.op.name in VIEWS:
        return 0
    shapes = [tuple(dims.evaluate(s, sizes) for s in operand.shape) for operand in _arrays(tensor.inputs)]
    if tensor.op.name in _COUNTS:
        return _COUNTS[tensor.op.name](shapes, tensor, sizes)
    if tensor.op.has(Trait.ELEMENTWISE) and not isinstance(tensor.type, TupleType):
        return _number(tensor.shape, sizes)
    # a reduction, or anything else that looks at each element once
    return max((math.prod(shape) for shape in shapes), default=0)


def _arrays(tensors: tuple[Tensor, ...]) -> list[Tensor]:
    return [t for t in tensors if not isinstance(t.type, TupleType)]


def _number(shape: tuple[Size, ...], sizes: Mapping[str, int]) -> int:
    return math.prod(dims.evaluate(size, sizes) for size in shape)


def number_of_bytes(tensor: Tensor, sizes: Mapping[str, int]) -> int:
    """What the value of a tensor takes, all results together."""
    items = tensor.type.items if isinstance(tensor.type, TupleType) else (tensor.type,)
    return sum(_number(item.shape, sizes) * item.dtype.itemsize for item in items)


Shapes = list[tuple[int, ...]]


def _matmul(shapes: Shapes, tensor: Tensor, sizes: Mapping[str, int]) -> int:
    return 2 * _number(tensor.shape, sizes) * shapes[0][-1]


def _conv(shapes: Shapes, tensor: Tensor, sizes: Mapping[str, int]) -> int:
    return 2 * _number(tensor.shape, sizes) * math.prod(shapes[1][1:])


def _conv_transpose(shapes: Shapes, tensor: Tensor, sizes: Mapping[str, int]) -> int:
    return 2 * math.prod(shapes[0]) * math.prod(shapes[1][1:])


def _conv_weights(shapes: Shapes, tensor: Tensor, sizes: Mapping[str, int]) -> int:
    return 2 * _number(tensor.shape, sizes) * math.prod(shapes[1][:-1])


def _conv_planes_weights(shapes: Shapes, tensor: Tensor, sizes: Mapping[str, int]) -> int:
    return 2 * math.prod(shapes[1]) * math.prod(tensor.attrs["window"])


def _pool(shapes: Shapes, tensor: Tensor, sizes: Mapping[str, int]) -> int:
    """One operation for each element of each window."""
    window = _number(tensor.attrs["window"], sizes)
    pooled = tensor.shape if tensor.op.name in ("max_pool", "max_pool_pick", "sum_pool") else tensor.inputs[0].shape
    return _number(pooled, sizes) * window


def _sort(shapes: Shapes, tensor: Tensor, sizes: Mapping[str, int]) -> int:
    extent = shapes[0][tensor.attrs["axis"]]
    return math.prod(shapes[0]) * max(1, math.ceil(math.log2(max(extent, 2))))


def _of_matrices(per_matrix: Callable[[int, int], float]) -> Callable[[Shapes, Tensor, Mapping[str, int]], int]:
    """A count for a stack of m x n matrices; leading terms from Golub and Van Loan, Matrix Computations, 4th ed."""

    def count(shapes: Shapes, tensor: Tensor, sizes: Mapping[str, int]) -> int:
        *batch, m, n = shapes[0]
        return math.prod(batch) * math.ceil(per_matrix(m, n))

    return count


def _softmax(shapes: Shapes, tensor: Tensor, sizes: Mapping[str, int]) -> int:
    return 5 * math.prod(shapes[0])  # maximum, difference, exponential, sum, quotient


_COUNTS: Mapping[str, Callable[[Shapes, Tensor, Mapping[str, int]], int]] = {
    "matmul": _matmul,
    "conv": _conv,
    "conv_planes": _conv,
    "conv_planes_weights": _conv_planes_weights,
    "conv_transpose": _conv_transpose,
    "conv_weights": _conv_weights,
    "max_pool": _pool,
    "max_pool_pick": _pool,
    "max_pool_spread": _pool,
    "sum_pool": _pool,
    "sum_pool_spread": _pool,
    "sort": _sort,
    "argsort": _sort,
    "softmax": _softmax,
    "log_softmax": _softmax,
    "logsumexp": lambda shapes, tensor, sizes: 4 * math.prod(shapes[0]),
    "cholesky": _of_matrices(lambda m, n: n**3 / 3),
    "det": _of_matrices(lambda m, n: 2 * n**3 / 3),
    "slogdet": _of_matrices(lambda m, n: 2 * n**3 / 3),
    "inv": _of_matrices(lambda m, n: 2 * n**3),
    "solve": _of_matrices(lambda m, n: 2 * n**3 / 3 + 2 * n**2),
    "eigh": _of_matrices(lambda m, n: 9 * n**3),
    "qr": _of_matrices(lambda m, n: 2 * max(m, n) * min(m, n) ** 2),
    "svd": _of_matrices(lambda m, n: 4 * m**2 * n + 22 * n**3),
}
