"""Images keep their channels last from one convolution to the next; transposes stay at the edges of the graph.

The ops of convolution and pooling take images with their channels last; for a user who has them first, the public
functions put transposes around each. Between two such ops stand elementwise ops, biases and reductions:

    conv -> to_first -> + bias -> relu -> to_last -> max_pool        to_first: (0, n-1, 1, ...)
    conv -> + bias' -> relu -> max_pool                              to_last:  (0, 2, ..., n-1, 1)

So each op that does not care is computed on the channels-last form of its operands, and transposed after; where the
next op is one of the kind, transposes meet and cancel. An operand that would have to be transposed itself is, if
the result is wanted with its channels last; small ones (a bias, a scale) always are. Graphs of pooling and depthwise
convolutions only are left as the user has them (`planes.py`).

Invariant: no op is computed twice, and nothing but the place of transposes changes; each value, and the order of
each sum over pixels, is what it would be for a user with channels last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.analysis.users import users
from graphc.ir import dims
from graphc.ir.graph import Graph, with_inputs
from graphc.ir.location import inherit
from graphc.ir.opdef import Trait
from graphc.ir.tensor import Tensor
from graphc.ir.types import TupleType
from graphc.passes.patterns import is_op, make
from graphc.passes.planes import by_planes, fits

#: The ops whose images have their channels last; without one of them there is nothing to do.
SPATIAL = frozenset({
    "conv", "conv_transpose", "conv_weights", "max_pool", "max_pool_pick", "max_pool_spread", "sum_pool",
    "sum_pool_spread",
})  # fmt: skip


def layout(graph: Graph) -> Graph:
    """`graph` with transposes around convolutions and poolings moved towards its outputs."""
    spatial = [tensor for tensor in graph.tensors if tensor.op.name in SPATIAL]
    if not spatial:
        return graph
    if all(map(fits, spatial)):
        graph = by_planes(graph)
    wanted = _wanted_last(graph)

    def moved(tensor: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        new = with_inputs(tensor, inputs)
        with inherit(tensor.location, "via layout"):
            found = _moved(new, tensor in wanted)
        if found is None:
            return new
        if tensor.op.name == "permute_dims":  # found was there before
            return found
        return Tensor(found.op, found.inputs, found.attrs, found.type, found.location, tensor.hint or found.hint)

    return graph.rebuild(moved)


def to_first(rank: int) -> tuple[int, ...]:
    """The axes of a transpose from channels last to channels first."""
    return (0, rank - 1, *range(1, rank - 1))


def to_last(rank: int) -> tuple[int, ...]:
    """The axes of a transpose from channels first to channels last."""
    return (0, *range(2, rank), 1)


def _is_image(tensor: Tensor) -> bool:
    return not isinstance(tensor.type, TupleType) and 3 <= tensor.ndim <= 5


def _wanted_last(graph: Graph) -> set[Tensor]:
    """What is transposed to channels last, at once or after ops that do not care."""
    found: set[Tensor] = set()
    using = users(graph)
    for tensor in reversed(graph.tensors):
        if not _is_image(tensor):
            continue
        for user in using[tensor]:
            if is_op(user, "permute_dims"):
                if user.attrs["axes"] == to_last(tensor.ndim):
                    found.add(tensor)
            elif user in found and user.op.has(Trait.ELEMENTWISE):
                found.add(tensor)
    return found


def _moved(tensor: Tensor, wanted: bool) -> Tensor | None:
    """The tensor as a transpose of what is computed on channels-last operands; None where it stays."""
    name = tensor.op.name
    if name == "permute_dims":
        return _cancelled(tensor)
    if isinstance(tensor.type, TupleType) or not any(_last(x) is not None for x in tensor.inputs):
        return None
    if tensor.op.has(Trait.ELEMENTWISE):
        return _elementwise(tensor, wanted)
    if tensor.op.has(Trait.REDUCTION):
        return _reduction(tensor)
    rule = _AXIS_RULES.get(name)
    return rule(tensor) if rule is not None else None


def _last(x: Tensor) -> Tensor | None:
    """The channels-last form of a tensor that is the transpose of one."""
    if _is_image(x) and is_op(x, "permute_dims") and x.attrs["axes"] == to_first(x.ndim):
        return x.inputs[0]
    return None


def _first(x: Tensor) -> Tensor:
    return make("permute_dims", x, axes=to_first(x.ndim))


def _cancelled(tensor: Tensor) -> Tensor | None:
    """to_last(to_first(x)) -> x"""
    (x,) = tensor.inputs
    if not _is_image(tensor) or tensor.attrs["axes"] != to_last(tensor.ndim):
        return None
    return _last(x)


def _elementwise(tensor: Tensor, wanted: bool) -> Tensor | None:
    """f(to_first(x), y) -> to_first(f(x, to_last(y)))"""
    converted = [_converted(x, tensor, wanted) for x in tensor.inputs]
    if any(x is None for x in converted):
        return None
    made = _first(make(tensor.op.name, *(x for x in converted if x is not None), **tensor.attrs))
    return made if made.shape == tensor.shape else None  # broadcast operands alone do not have its shape


def _converted(x: Tensor, result: Tensor, wanted: bool) -> Tensor | None:
    """An operand of an elementwise op, broadcast like the result, with channels last; None where that is dear."""
    if x.ndim == 0:
        return x
    last = _last(x)
    if last is not None and x.ndim == result.ndim:
        return last
    if is_op(x, "broadcast_to"):
        source = _aligned(x.inputs[0], result.ndim)
        return _transposed(source) if x.shape == result.shape else None
    is_small = x.ndim < result.ndim or any(a != b for a, b in zip(x.shape, result.shape))
    if is_small or wanted or is_op(x, "const"):
        return _transposed(_aligned(x, result.ndim))
    return None


def _aligned(x: Tensor, rank: int) -> Tensor:
    """The same with axes of size 1 in front."""
    return x if x.ndim == rank else make("reshape", x, shape=(*(1,) * (rank - x.ndim), *x.shape))


def _transposed(x: Tensor) -> Tensor:
    return make("permute_dims", x, axes=to_last(x.ndim))


# ops with axes --------------------------------------------------------------------------------------------


def _place(axis: int, rank: int) -> int:
    """Where an axis of a channels-first image is in its channels-last form."""
    return to_first(rank)[axis]


def _reduction(tensor: Tensor) -> Tensor:
    """sum(to_first(x), axes) -> sum(x, axes'), transposed if the axes that stay change their order"""
    last = _last(tensor.inputs[0])
    assert last is not None
    rank, keepdims = last.ndim, tensor.attrs["keepdims"]
    axes = tuple(sorted(_place(axis, rank) for axis in tensor.attrs["axis"]))
    reduced = make(tensor.op.name, last, axis=axes, keepdims=keepdims)
    if keepdims:
        return _first(reduced)
    kept = [_place(axis, rank) for axis in range(rank) if _place(axis, rank) not in axes]
    order = sorted(kept)
    if kept == order:
        return reduced
    return make("permute_dims", reduced, axes=tuple(order.index(axis) for axis in kept))


def _along_axis(tensor: Tensor) -> Tensor:
    """softmax(to_first(x), axis) -> to_first(softmax(x, axis'))"""
    last = _last(tensor.inputs[0])
    assert last is not None
    return _first(make(tensor.op.name, last, axis=_place(tensor.attrs["axis"], last.ndim)))


def _joined(tensor: Tensor) -> Tensor | None:
    """concat(to_first(x), to_first(y), axis) -> to_first(concat(x, y, axis'))"""
    parts = [_last(x) for x in tensor.inputs]
    if any(part is None for part in parts):
        return None
    axis = _place(tensor.attrs["axis"], tensor.ndim)
    return _first(make("concat", *(part for part in parts if part is not None), axis=axis))


def _per_axis(tensor: Tensor) -> Tensor | None:
    """slice(to_first(x), start, ...) -> to_first(slice(x, start', ...)), and pad likewise"""
    last = _last(tensor.inputs[0])
    if last is None:
        return None
    axes = to_last(tensor.ndim)
    attrs = {name: _reordered(entries, axes) for name, entries in tensor.attrs.items()}
    return _first(make(tensor.op.name, last, *tensor.inputs[1:], **attrs))


def _broadcast(tensor: Tensor) -> Tensor | None:
    """broadcast_to(to_first(x), s) -> to_first(broadcast_to(x, s'))"""
    last = _last(tensor.inputs[0])
    if last is None or last.ndim != tensor.ndim:
        return None
    return _first(make("broadcast_to", last, shape=_reordered(tensor.shape, to_last(tensor.ndim))))


def _reordered(entries: Sequence[dims.Size], axes: Sequence[int]) -> tuple[dims.Size, ...]:
    return tuple(entries[axis] for axis in axes)


_AXIS_RULES: dict[str, Callable[[Tensor], Tensor | None]] = {
    "broadcast_to": _broadcast,
    "concat": _joined,
    "cumprod": _along_axis,
    "cumsum": _along_axis,
    "log_softmax": _along_axis,
    "pad": _per_axis,
    "slice": _per_axis,
    "softmax": _along_axis,
}
