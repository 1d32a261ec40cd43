"""`einsum`: Einstein's summation, taken apart into diagonals, sums and matrix products.

    "bij,bjk,kl->bil"    1. read: a label for each axis; `...` becomes labels of its own
                         2. each operand alone: repeated labels -> diagonal; labels of no one else -> summed
                         3. two at a time, smallest intermediate first:
                            b is a stack, j is summed:  (b, i, j) @ (b, j, k) -> (b, i, k)
                         4. axes into the order of the result

Invariant: a label has one size; an axis of size 1 beside a larger one of the same label is dropped first,
which is what broadcasting it would mean.
"""

from __future__ import annotations

import itertools
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.errors import ArgumentError, ShapeError
from graphc.ir import dims
from graphc.ir.build import TensorLike, apply, promote
from graphc.ir.dims import Size
from graphc.ir.location import here
from graphc.ir.opdef import FUNCTIONS, OPS, public
from graphc.ir.tensor import Tensor
from graphc.ir.types import BOOL
from graphc.ops.arguments import is_integer
from graphc.ops.diagonals import diagonal
from graphc.ops.matmul import require_same
from graphc.ops.movement import permuted, reshape

_LETTERS = string.ascii_uppercase + string.ascii_lowercase
_SYMBOLIC = 1000  # what a symbolic size counts as when intermediates are compared


@dataclass(frozen=True)
class _Term:
    """A tensor with a label for each axis: the user's letters; `.0`, `.1`, ... for those of an ellipsis."""

    tensor: Tensor
    labels: tuple[str, ...]


@public
def einsum(subscripts: Any, *operands: Any) -> Tensor:
    """Sums of products over labelled axes, as `numpy.einsum`.

    Args:
        subscripts: a letter for each axis of each operand, as in `"ij,jk->ik"`. A label that the result has
            not is summed over; one that an operand has twice takes its diagonal; `...` stands for the axes
            without a label, which broadcast. Without `->`, the result has the labels that occur once, in
            alphabetical order.
        *operands: the tensors. Or, in NumPy's other form, `einsum(x, [0, 1], y, [1, 2], [0, 2])`, where
            numbers stand for letters.

    Returns:
        A tensor of the operands' common dtype.

    Raises:
        ArgumentError: the subscripts are malformed, or their number is not that of the operands.
        ShapeError: an operand has another rank than its subscripts, or a label has two sizes.

    >>> import graphc as gc
    >>> x, w = gc.placeholder(("batch", "t", 8), name="x"), gc.placeholder((8, 4), name="w")
    >>> gc.einsum("bti,ij->btj", x, w).type
    f32[batch,t,4]
    """
    inputs, output, given = _normal_form(subscripts, operands)
    tensors = promote(*given)
    terms = [_Term(t, _labels_of(text, t, i)) for i, (text, t) in enumerate(zip(inputs, tensors))]
    result = _output_labels(output, terms)
    terms = list(_one_size_each(terms))
    while True:
        terms = [_alone(term, _elsewhere(terms, i) | set(result)) for i, term in enumerate(terms)]
        if len(terms) == 1:
            break
        i, j = _cheapest_pair(terms, set(result))
        pair = _product(
            terms[i], terms[j], set(result).union(*(t.labels for k, t in enumerate(terms) if k not in (i, j)))
        )
        terms = [t for k, t in enumerate(terms) if k not in (i, j)] + [pair]
    (last,) = terms
    return permuted(last.tensor, tuple(last.labels.index(label) for label in result))


# reading --------------------------------------------------------------------------------------------------


def _normal_form(subscripts: Any, operands: tuple[Any, ...]) -> tuple[list[str], str | None, Sequence[TensorLike]]:
    """The subscripts of each operand, those of the result or None, and the operands."""
    if not isinstance(subscripts, str):
        arguments = (subscripts, *operands)
        paired = len(arguments) // 2 * 2
        texts = [_from_numbers(numbers) for numbers in arguments[1:paired:2]]
        output = _from_numbers(arguments[-1]) if len(arguments) % 2 else None
        given: Sequence[TensorLike] = arguments[0:paired:2]
    else:
        text = subscripts.replace(" ", "")
        left, arrow, right = text.partition("->")
        texts, output, given = left.split(","), right if arrow else None, operands
        for part in (*texts, right):
            rest = part.replace("...", "", 1)
            wrong = [c for c in rest if c not in _LETTERS]
            if wrong:
                raise ArgumentError(f"einsum: {wrong[0]!r} in {subscripts!r} is not a label", location=here())
    if not given:
        raise ArgumentError("einsum: there are no operands", location=here())
    if len(texts) != len(given):
        raise ArgumentError(f"einsum: subscripts for {len(texts)} operands, but {len(given)} operands", location=here())
    return texts, output, given


def _from_numbers(numbers: Any) -> str:
    if not isinstance(numbers, (list, tuple)):
        raise ArgumentError(f"einsum: {numbers!r} is no list of axis numbers", location=here())
    for number in numbers:
        if number is not Ellipsis and not (is_integer(number) and 0 <= number < len(_LETTERS)):
            raise ArgumentError(f"einsum: {number!r} is no axis number below {len(_LETTERS)}", location=here())
    return "".join("..." if n is Ellipsis else _LETTERS[n] for n in numbers)


def _labels_of(text: str, x: Tensor, position: int) -> tuple[str, ...]:
    """The labels of an operand's axes; an ellipsis' axes are counted from the right, where they align."""
    before, dots, after = text.partition("...")
    free = x.ndim - len(before) - len(after)
    if free < 0 or (free and not dots):
        raise ShapeError(
            f"einsum: operand {position} is {x.type!r}, of rank {x.ndim}, but its subscripts are {text!r}",
            location=here(),
        )
    return (*before, *(f".{i}" for i in reversed(range(free))), *after)


def _output_labels(text: str | None, terms: list[_Term]) -> tuple[str, ...]:
    counts = Counter(label for term in terms for label in term.labels)
    shared = tuple(sorted((label for label in counts if label.startswith(".")), key=lambda label: -int(label[1:])))
    if text is None:
        return shared + tuple(sorted(label for label, n in counts.items() if n == 1 and label not in shared))
    before, dots, after = text.partition("...")
    if shared and not dots:
        raise ArgumentError(f"einsum: the result {text!r} lacks the ellipsis of the operands", location=here())
    labels = (*before, *shared, *after) if dots else tuple(before)
    for label, count in Counter(labels).items():
        if count > 1 or label not in counts:
            what = "occurs twice in the result" if count > 1 else "of the result is in no operand"
            raise ArgumentError(f"einsum: label {label!r} {what} {text!r}", location=here())
    return labels


def _one_size_each(terms: list[_Term]) -> Iterator[_Term]:
    """The terms without their axes of size 1 whose label is larger elsewhere; checks that sizes agree."""
    sizes: dict[str, Size] = {}
    for term in terms:
        for label, size in zip(term.labels, term.tensor.shape):
            if size != 1:
                sizes[label] = require_same("einsum", f"the sizes of label {label!r}", sizes.get(label, size), size)
    for term in terms:
        kept = [
            (label, size)
            for label, size in zip(term.labels, term.tensor.shape)
            if size != 1 or label not in sizes or term.labels.count(label) > 1
        ]
        yield _Term(reshape(term.tensor, tuple(size for _, size in kept)), tuple(label for label, _ in kept))


# contracting ----------------------------------------------------------------------------------------------


def _elsewhere(terms: list[_Term], position: int) -> set[str]:
    return {label for i, term in enumerate(terms) if i != position for label in term.labels}


def _alone(term: _Term, needed: set[str]) -> _Term:
    """Repeated labels as diagonals, and labels that nothing else needs summed."""
    x, labels = term.tensor, list(term.labels)
    while (double := next((label for label in labels if labels.count(label) > 1), None)) is not None:
        first = labels.index(double)
        second = labels.index(double, first + 1)
        require_same("einsum", f"the sizes of label {double!r}", x.shape[first], x.shape[second])
        x = diagonal(x, 0, first, second)
        labels = [label for i, label in enumerate(labels) if i not in (first, second)] + [double]
    summed = tuple(i for i, label in enumerate(labels) if label not in needed)
    if summed:
        x = apply(OPS["any" if x.dtype == BOOL else "sum"], x, axis=summed, keepdims=False)
    return _Term(x, tuple(label for label in labels if label in needed))


def _cheapest_pair(terms: list[_Term], result: set[str]) -> tuple[int, int]:
    """The pair whose product takes the least room beyond what it replaces: the greedy order of opt_einsum."""

    def growth(pair: tuple[int, int]) -> tuple[int, int]:
        i, j = pair
        left, right = terms[i], terms[j]
        needed = result.union(*(t.labels for k, t in enumerate(terms) if k not in pair))
        sizes = dict(zip(left.labels + right.labels, left.tensor.shape + right.tensor.shape))
        made = _room(size for label, size in sizes.items() if label in needed)
        work = _room(sizes.values())
        return made - _room(left.tensor.shape) - _room(right.tensor.shape), work

    return min(itertools.combinations(range(len(terms)), 2), key=growth)


def _room(sizes: Any) -> int:
    total = 1
    for size in sizes:
        total *= size if isinstance(size, int) else _SYMBOLIC
    return total


def _product(left: _Term, right: _Term, needed: set[str]) -> _Term:
    """Both terms multiplied, and summed over the labels that only they have.

    Shared labels that stay are a stack of matrices, those that go are the inner axis, and each side's own
    labels are its free axis.
    """
    shared = [label for label in left.labels if label in right.labels]
    stack = [label for label in shared if label in needed]
    inner = [label for label in shared if label not in needed]
    rows = [label for label in left.labels if label not in shared]
    columns = [label for label in right.labels if label not in shared]
    if not inner:
        return _outer(left, right, stack + rows + columns)
    sizes = dict(zip(right.labels, right.tensor.shape)) | dict(zip(left.labels, left.tensor.shape))
    a = _grouped(left, stack, rows, inner, sizes)
    b = _grouped(right, stack, inner, columns, sizes)
    shape = tuple(sizes[label] for label in (*stack, *rows, *columns))
    return _Term(reshape(apply(OPS["matmul"], a, b), shape), (*stack, *rows, *columns))


def _grouped(term: _Term, stack: list[str], rows: list[str], columns: list[str], sizes: dict[str, Size]) -> Tensor:
    """The term as a stack of matrices."""
    x = permuted(term.tensor, tuple(term.labels.index(label) for label in (*stack, *rows, *columns)))
    shape = x.shape[: len(stack)]
    return reshape(x, (*shape, *(dims.product([sizes[label] for label in group]) for group in (rows, columns))))


def _outer(left: _Term, right: _Term, labels: list[str]) -> _Term:
    def aligned(term: _Term) -> Tensor:
        order = [label for label in labels if label in term.labels]
        x = permuted(term.tensor, tuple(term.labels.index(label) for label in order))
        sizes = dict(zip(order, x.shape))
        return reshape(x, tuple(sizes.get(label, 1) for label in labels))

    a, b = aligned(left), aligned(right)
    product = apply(OPS["bitwise_and"], a, b) if a.dtype == BOOL else FUNCTIONS["multiply"](a, b)
    return _Term(product, tuple(labels))
