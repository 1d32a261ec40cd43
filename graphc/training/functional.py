"""`gc.Model`: a graph of layers between inputs and outputs.

Tensors know which layer made them (`gc.nn.call_of`), so the way from the inputs to the outputs can be gone again: with
other inputs, and with layers that act as in training. What was computed between layers by plain functions of `gc` is
made anew by `gc.substitute`.

Invariant: applying the model calls each layer once for each call in the original expression, operands first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import graphc as gc
from graphc.training.summary import Row
from graphc.training.trainable import Trainable


class Model(Trainable):
    """The layers and functions between some inputs and outputs; itself a layer, so that models nest.

    Args:
        inputs: what `gc.nn.Input` made, or a list or dict of such.
        outputs: a tensor computed from them, or a list or dict of such. Losses, labels and predictions are then
            lists or dicts, too.
        name: what messages and compiled functions are called after.
        seed: a whole number, from which, with the places of the layers, their first values follow; by default they
            follow from the names of the layers.
        trainable: whether its parameters are trained.

    Raises:
        ArgumentError: an input is no placeholder, or two have one name; an output is no tensor.
        GraphError: an output needs a placeholder that is not among the inputs.

    >>> import graphc as gc
    >>> left, right = gc.nn.Input((3,), name="left"), gc.nn.Input((5,), name="right")
    >>> joined = gc.concat([gc.nn.Dense(4, "relu")(left), gc.nn.Dense(4, "relu")(right)], axis=-1)
    >>> model = gc.Model([left, right], gc.nn.Dense(1)(joined))
    >>> model.input_names, model.predict({"left": [[1.0] * 3], "right": [[1.0] * 5]}).shape
    (['left', 'right'], (1, 1))
    """

    def __init__(
        self, inputs: Any, outputs: Any, *, name: str | None = None, seed: int | None = None, trainable: bool = True
    ) -> None:
        super().__init__(name=name, seed=seed, trainable=trainable)
        self.inputs = _listed(inputs)
        self.outputs = _listed(outputs)
        self._form = list(outputs) if isinstance(outputs, Mapping) else isinstance(outputs, (list, tuple))
        for number, tensor in enumerate(self.inputs):
            if not isinstance(tensor, gc.Tensor) or tensor.op.name != "placeholder":
                raise gc.ArgumentError(f"{self.name}: input {number} is no gc.nn.Input, but {tensor!r}")
        for number, tensor in enumerate(self.outputs):
            if not isinstance(tensor, gc.Tensor):
                raise gc.ArgumentError(f"{self.name}: output {number} is no tensor, but {tensor!r}")
        if not self.inputs or not self.outputs:
            raise gc.ArgumentError(f"{self.name}: a model has at least one input and one output")
        self._input_names = list(inputs) if isinstance(inputs, Mapping) else _input_names(self.inputs)
        if len(set(self._input_names)) < len(self._input_names):
            raise gc.ArgumentError(f"{self.name}: two inputs have one name: {', '.join(self._input_names)}")
        self._output_names = self._form if isinstance(self._form, list) else _output_names(self.outputs)
        self._calls = list(dict.fromkeys(made[0] for t in self._order() if (made := gc.nn.call_of(t))))
        self.layers = list(dict.fromkeys(call.layer for call in self._calls))
        if seed is not None:
            self._seed_sublayers(seed)
        self._fed = [
            tensor if tensor.name else gc.nn.Input(tensor.shape[1:], tensor.dtype, name, batch=tensor.shape[0])
            for tensor, name in zip(self.inputs, self._input_names)
        ]

    def _order(self) -> Iterator[gc.Tensor]:
        """The tensors between inputs and outputs, operands first; of a layer's inside only its results."""
        done = set(self.inputs)
        for root in self.outputs:
            stack: list[tuple[gc.Tensor, Iterator[gc.Tensor]]] = []
            if root not in done:
                stack.append((root, iter(self._operands(root))))
            entered = {root}
            while stack:
                tensor, rest = stack[-1]
                following = next((t for t in rest if t not in done and t not in entered), None)
                if following is not None:
                    entered.add(following)
                    stack.append((following, iter(self._operands(following))))
                else:
                    stack.pop()
                    done.add(tensor)
                    yield tensor

    def _operands(self, tensor: gc.Tensor) -> Sequence[gc.Tensor]:
        if tensor.op.name == "placeholder":
            raise gc.GraphError(
                f"{self.name}: {tensor.name or 'a placeholder'} is needed but is not among the inputs",
                location=tensor.location,
            )
        made = gc.nn.call_of(tensor)
        return tensor.inputs if made is None else made[0].tensors

    def call(self, *inputs: Any) -> Any:
        """The outputs for other inputs, in the form that the model was given them in."""
        given = list(inputs[0]) if len(inputs) == 1 and isinstance(inputs[0], (list, tuple)) else list(inputs)
        if len(given) != len(self.inputs):
            raise gc.ArgumentError(f"{self.name}: takes {len(self.inputs)} inputs, not {len(given)}")
        new = {old: gc.astype(x, old.dtype) for old, x in zip(self.inputs, given)}
        results: dict[gc.nn.Call, tuple[gc.Tensor, ...]] = {}
        for tensor in self._order():
            made = gc.nn.call_of(tensor)
            if made is None:
                continue  # made anew where it is needed, all plain functions between two layers at a time
            call, position = made
            if call not in results:
                _renew(call.tensors, new)
                results[call] = call.again(new)
            new[tensor] = results[call][position]
        _renew(self.outputs, new)
        found = [new[t] for t in self.outputs]
        return found[0] if self._form is False else tuple(found)

    @property
    def input_names(self) -> list[str]:
        """The keys of the inputs, or the names of the placeholders."""
        return self._input_names

    @property
    def output_names(self) -> list[str]:
        """The keys of the outputs, or the names of the layers that make them."""
        return self._output_names

    def placeholders(self, arrays: Sequence[np.ndarray] | None) -> list[gc.Tensor]:
        """The inputs, each with a name."""
        return list(self._fed)

    def apply(self, inputs: Sequence[gc.Tensor]) -> list[gc.Tensor]:
        """The outputs as a flat list."""
        result = self(*inputs)
        return list(result) if isinstance(result, tuple) else [result]

    def structured(self, predictions: Sequence[Any]) -> Any:
        """One array, a list, or a dict."""
        if isinstance(self._form, list):
            return dict(zip(self._form, predictions))
        return list(predictions) if self._form else predictions[0]

    def rows(self, inputs: Sequence[gc.Tensor]) -> list[Row]:
        """A line for each call of a layer."""
        makers: dict[gc.Tensor, str] = dict(zip(self.inputs, self._input_names))
        shown: set[gc.nn.Call] = set()
        found = []
        for tensor in self._order():
            made = gc.nn.call_of(tensor)
            if made is None:
                before = dict.fromkeys(makers[t] for t in tensor.inputs if makers.get(t))
                makers[tensor] = ", ".join(before)
                continue
            call = made[0]
            makers[tensor] = call.layer.name
            if call not in shown:
                shown.add(call)
                before = dict.fromkeys(makers[t] for t in call.tensors if makers.get(t))
                found.append(Row.of(call.layer, tensor, inputs=", ".join(before)))
        return found


def _renew(tensors: Sequence[gc.Tensor], new: dict[gc.Tensor, gc.Tensor]) -> None:
    """Add to `new` what the tensors become: they depend on its keys by plain functions alone."""
    missing = [t for t in tensors if t not in new]
    if missing:
        new.update(zip(missing, gc.substitute(missing, new)))


def _listed(tensors: Any) -> list[Any]:
    if isinstance(tensors, Mapping):
        return list(tensors.values())
    return list(tensors) if isinstance(tensors, (list, tuple)) else [tensors]


def _input_names(inputs: Sequence[gc.Tensor]) -> list[str]:
    if len(inputs) == 1:
        return [inputs[0].name or "x"]
    return [tensor.name or f"input_{number}" for number, tensor in enumerate(inputs)]


def _output_names(outputs: Sequence[gc.Tensor]) -> list[str]:
    """The name of the layer that made each, or of the tensor; numbered where two are the same."""
    names: list[str] = []
    for tensor in outputs:
        made = gc.nn.call_of(tensor)
        name = tensor.name or (made[0].layer.name if made else "output")
        names.append(name if name not in names else f"{name}_{len(names)}")
    return names


__all__ = ["Model"]
