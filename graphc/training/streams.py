"""Batches of x, y and weights, from whatever the user has them in.

Invariant: an item is a flat list of arrays in the order of the compiled step's inputs, each of exactly its type, so
that the step takes it without another look; and the position in a stream is plain data.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import graphc as gc
from graphc.data.pipeline import as_column
from graphc.training.arrays import as_array, as_input, as_target, check_classes, flat, same_length
from graphc.training.steps import Labels, Steps
from graphc.training.weights import ClassWeight, example_weights

if TYPE_CHECKING:
    from graphc.training.trainable import Trainable

Batch = Sequence[np.ndarray]


class Examples:
    """Arrays of examples, ready for the step.

    Attributes:
        inputs, targets, weights: what the step takes, in order.
        labels: the types of targets and weights.
        count: the number of rows.
    """

    def __init__(
        self, inputs: list[np.ndarray], targets: list[np.ndarray], weights: np.ndarray | None, labels: Labels
    ) -> None:
        self.inputs = inputs
        self.targets = targets
        self.weights = weights
        self.labels = labels
        self.count = len(inputs[0])

    @property
    def arrays(self) -> list[np.ndarray]:
        """All arrays in the order of the step's inputs."""
        return [*self.inputs, *self.targets, *([] if self.weights is None else [self.weights])]

    def rows(self, part: slice) -> Examples:
        """Some of the rows, as views."""
        weights = None if self.weights is None else self.weights[part]
        return Examples([a[part] for a in self.inputs], [a[part] for a in self.targets], weights, self.labels)


def read_examples(
    function: str,
    model: Trainable,
    steps: Steps,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    class_weight: ClassWeight = None,
) -> Examples:
    """What the user gave, checked and converted.

    Raises:
        FeedError, ShapeError, DTypeError, ArgumentError: it does not fit the model, or differs in length.
    """
    inputs = read_inputs(function, model, steps.inputs, x)
    trained = steps.objective.trained
    if y is None:
        raise gc.ArgumentError(f"{function}: y is missing", hint="pass the labels as the second argument")
    names = [goal.output for goal in trained]
    values = flat(f"{function}: y", "output", y, names)
    labels = [as_array(f"{function}: y" + _entry(name, names), value) for name, value in zip(names, values)]
    same_length(function, [("x", inputs[0]), *((f"y{_entry(n, names)}", a) for n, a in zip(names, labels))])
    weights = example_weights(function, labels, sample_weight, class_weight)
    predictions = steps.trained_predictions
    if model.target_preprocessing:
        labels = [as_target(labels[0], predictions[0], np.float64)]
    for step in model.target_preprocessing:
        labels = [as_column(step.transform, labels[0])]
    targets = [as_target(a, p) for a, p in zip(labels, predictions)]
    for goal, name, target, prediction in zip(trained, names, targets, predictions):
        if goal.takes_classes:
            check_classes(f"{function}: y{_entry(name, names)}", target, prediction)
    return Examples(inputs, targets, weights, Labels.of(targets, weights, predictions))


def read_inputs(function: str, model: Trainable, placeholders: Sequence[gc.Tensor], x: Any) -> list[np.ndarray]:
    """The inputs that the user gave, preprocessed, checked and converted.

    Raises:
        FeedError, ShapeError, DTypeError, ArgumentError: they do not fit the model, or differ in length.
    """
    names = model.input_names
    raw = [as_array(f"{function}: x{_entry(n, names)}", value) for n, value in zip(names, model.preprocessed(x))]
    arrays = [as_input(f"{function}: x{_entry(n, names)}", a, p) for n, a, p in zip(names, raw, placeholders)]
    same_length(function, [(f"x{_entry(n, names)}", a) for n, a in zip(names, arrays)])
    return arrays


def _entry(name: str, names: Sequence[str]) -> str:
    return f"[{name!r}]" if len(names) > 1 else ""


class Stream:
    """Batches that can be gone through epoch by epoch.

    Args:
        source: a dataset, or something like one: iterable, with `length`, `state` and `restore`.
        convert: makes the step's arrays of an item; None where the items are those.
        labels: the types of targets and weights.
    """

    def __init__(self, source: Any, convert: Callable[[Any], Batch] | None, labels: Labels) -> None:
        self.source = source
        self.convert = convert
        self.labels = labels

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.source) if self.convert is None else map(self.convert, self.source)

    @property
    def length(self) -> int | None:
        """How many batches an epoch has, or None."""
        length: int | None = self.source.length
        return length

    def start_at(self, epoch: int) -> None:
        """Let the next epoch be number `epoch`."""
        self.source.restore({"epoch": epoch, "position": 0, "length": self.source.length})


def stream_of(
    examples: Examples,
    batch_size: int,
    shuffle: bool = False,
    seed: int = 0,
    drop_last: bool = False,
    augment: Callable[..., Any] | None = None,
) -> Stream:
    """The rows of arrays in batches, in an order that the seed and the epoch's number determine."""
    rows = gc.data.from_arrays(*examples.arrays)
    if shuffle:
        rows = rows.shuffle(seed)
    batches = rows.batch(batch_size, drop_last)
    if augment is not None:
        batches = batches.map(augment, indexed=True).prefetch()
    return Stream(batches, None, examples.labels)


class OnePass:
    """Something that can be gone through only once, cut into epochs of `length` batches."""

    def __init__(self, items: Iterator[Any], length: int | None) -> None:
        self._items = items
        self.length = length

    def __iter__(self) -> Iterator[Any]:
        return itertools.islice(self._items, self.length)

    def state(self) -> dict[str, Any]:
        """There is no way back."""
        raise gc.ArgumentError(
            "a generator's position cannot be kept in a checkpoint",
            hint="pass the generator function itself, or a gc.data.Dataset",
        )

    def restore(self, state: Mapping[str, Any]) -> None:
        """Only the beginning is there, whatever the number of the epoch."""
        if state["position"]:
            self.state()


def is_stream(x: Any) -> bool:
    """Whether `x` gives batches itself: a dataset, a generator, or a function that returns one."""
    return isinstance(x, (gc.data.Dataset, Iterator)) or (callable(x) and not hasattr(x, "__array__"))


def stream_from(
    function: str,
    model: Trainable,
    prepared: Callable[[Any], Steps],
    source: Any,
    class_weight: ClassWeight = None,
    length: int | None = None,
) -> Stream:
    """Batches of (x, y) or (x, y, weights) from a dataset, a generator, or a function that returns one.

    Args:
        function: for messages.
        model: that the batches are for.
        prepared: gives the model's functions, for the inputs of the first batch.
        source: what gives the batches. The first one is looked at to learn the types.
        class_weight: as for `example_weights`.
        length: the number of batches of an epoch.

    Raises:
        ArgumentError: there is no batch, or one that is not (x, y) or (x, y, weights).
    """
    dataset, first = _opened(function, source, length)
    steps = prepared(_parts(function, model, first)[0])
    known: Labels | None = None

    def convert(item: Any) -> Batch:
        x, y, weights = _parts(function, model, item)
        examples = read_examples(function, model, steps, x, y, weights, class_weight)
        if known is not None and examples.labels != known:
            raise gc.ShapeError(f"{function}: a batch has labels {examples.labels}, the first one had {known}")
        return examples.arrays

    x, y, weights = _parts(function, model, first)
    known = read_examples(function, model, steps, x, y, weights, class_weight).labels
    return Stream(dataset, convert, known)


def _opened(function: str, source: Any, length: int | None) -> tuple[Any, Any]:
    """The source as something with a position, and its first item, which is still to come."""
    if isinstance(source, Iterator):
        first = _first(function, source)
        return OnePass(itertools.chain([first], source), length), first
    dataset = source if isinstance(source, gc.data.Dataset) else gc.data.from_generator(source, length)
    state = dataset.state()
    first = _first(function, iter(dataset))
    dataset.restore(state)
    return dataset, first


def _first(function: str, items: Iterable[Any]) -> Any:
    for item in items:
        return item
    raise gc.ArgumentError(f"{function}: the data has no batches")


def _parts(function: str, model: Trainable, item: Any) -> tuple[Any, Any, Any]:
    """x, y and weights of a batch: (x, y), (x, y, weights), or all arrays in a row."""
    parts = list(item) if isinstance(item, (list, tuple)) else [item]
    inputs, outputs = len(model.input_names), model.target_count
    nested = inputs == 1 or isinstance(parts[0], (list, tuple, Mapping))
    if nested and (outputs == 1 or (len(parts) > 1 and isinstance(parts[1], (list, tuple, Mapping)))):
        if len(parts) in (2, 3):
            return parts[0], parts[1], parts[2] if len(parts) == 3 else None
    elif len(parts) - inputs - outputs in (0, 1):
        targets = parts[inputs : inputs + outputs]
        weights = parts[-1] if len(parts) > inputs + outputs else None
        return _single(parts[:inputs]), _single(targets), weights
    raise gc.ArgumentError(
        f"{function}: a batch must be (x, y) or (x, y, weights), this one has {len(parts)} parts",
        hint=f"the model has {inputs} inputs and {outputs} trained outputs" if inputs + outputs > 2 else None,
    )


def inputs_of(model: Trainable, item: Any) -> Any:
    """The inputs of a batch that may have labels and weights behind them."""
    parts = list(item) if isinstance(item, (list, tuple)) else [item]
    inputs = len(model.input_names)
    return parts[0] if inputs == 1 or isinstance(parts[0], (list, tuple, Mapping)) else parts[:inputs]


def _single(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values


__all__ = [
    "Batch", "Examples", "OnePass", "Stream", "inputs_of", "is_stream", "read_examples", "read_inputs", "stream_from",
    "stream_of",
]  # fmt: skip
