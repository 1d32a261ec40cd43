"""`gc.Sequential`: layers one after the other.

Invariant: the model's function is the composition of its layers, in order; it has one input and one output.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

import graphc as gc
from graphc.training.arrays import as_array
from graphc.training.summary import Row
from graphc.training.trainable import Trainable


class Sequential(Trainable):
    """Layers one after the other; itself a layer, so that it can be part of another model.

    Args:
        layers: the layers. A first entry `gc.nn.Input(shape)` says what the model takes, and lets it make its
            parameters now; without it they are made for the first data, or tensor, that it sees.
        name: what messages and compiled functions are called after.
        dtype: "float32" or "float64", in which layers that say nothing else compute.
        seed: a whole number, from which, with the places of the layers, their first values follow; by default they
            follow from the names of the layers.
        trainable: whether its parameters are trained.

    Raises:
        ArgumentError: an entry is no layer, or an `Input` does not come first.

    >>> import graphc as gc
    >>> model = gc.Sequential([gc.nn.Dense(10, "relu"), gc.nn.Dense(1, "sigmoid")], name="classifier")
    >>> model(gc.nn.Input((30,))).type
    f32[batch,1]
    """

    def __init__(
        self,
        layers: Iterable[Any] = (),
        *,
        name: str | None = None,
        dtype: Any = None,
        seed: int | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, dtype=dtype, seed=seed, trainable=trainable)
        self.layers: list[gc.nn.Layer] = []
        self._input: gc.Tensor | None = None
        self._wanted_dtype = self.dtype
        for layer in layers:
            self._append(layer)
        if self._input is not None and self.layers:
            self(self._input)

    def add(self, layer: Any) -> None:
        """Append a layer.

        Raises:
            ArgumentError: it is none.

        >>> import graphc as gc
        >>> model = gc.Sequential()
        >>> model.add(gc.nn.Dense(2, name="d")); model.layers
        [<Dense 'd'>]
        """
        self._append(layer)
        self._steps = self._prediction = None
        if self._input is not None and self.layers:
            self(self._input)

    def _append(self, layer: Any) -> None:
        if isinstance(layer, gc.Tensor) and layer.op.name == "placeholder":
            if self.layers or self._input is not None:
                raise gc.ArgumentError(f"{self.name}: an Input comes first in the list of layers")
            self._input = layer if layer.name else gc.nn.Input(layer.shape[1:], layer.dtype, "x", batch=layer.shape[0])
        elif isinstance(layer, (dict, gc.nn.Layer)):
            self.layers.append(gc.nn.layer_from(layer))
            if self.seed is not None:
                self._seed_sublayers(self.seed)
        else:
            what = "a tensor" if isinstance(layer, gc.Tensor) else repr(layer)
            raise gc.ArgumentError(
                f"{self.name}: {what} is no layer",
                hint="make an instance of it" if isinstance(layer, type) else None,
            )

    def call(self, x: gc.Tensor) -> gc.Tensor:
        """The layers applied in order."""
        if not self.layers:
            raise gc.GraphError(f"{self.name} has no layers")
        for layer in self.layers:
            if self._wanted_dtype is not None and not layer.built and layer.dtype is None:
                layer.dtype = self._wanted_dtype
            x = layer(x)
        return x

    @property
    def input_names(self) -> list[str]:
        """One name."""
        return ["x" if self._input is None else str(self._input.name)]

    @property
    def output_names(self) -> list[str]:
        """One name: that of the model."""
        return [self.name]

    def placeholders(self, arrays: Sequence[np.ndarray] | None) -> list[gc.Tensor]:
        """The input, made to fit the array where it is not known yet."""
        if self._input is None:
            if arrays is None:
                raise gc.GraphError(
                    f"{self.name} has not seen its input yet",
                    hint="let the layers begin with gc.nn.Input(shape), or call fit or predict first",
                )
            array = as_array("x", arrays[0])
            self._input = gc.nn.Input(array.shape[1:], self._input_dtype(array), name="x")
        return [self._input]

    def _input_dtype(self, array: np.ndarray) -> Any:
        """Floats, but for indices that go into an embedding."""
        first: Any = self
        while isinstance(first, Sequential) and first.layers:
            first = first.layers[0]
        if isinstance(first, gc.nn.Embedding) and array.dtype.kind in "iub":
            return array.dtype if array.dtype.kind in "iu" else "int64"
        return self._wanted_dtype or "float32"

    def apply(self, inputs: Sequence[gc.Tensor]) -> list[gc.Tensor]:
        """The one output, in a list."""
        result = self(*inputs)
        return list(result) if isinstance(result, tuple) else [result]

    def structured(self, predictions: Sequence[Any]) -> Any:
        """The one prediction."""
        return predictions[0]

    def rows(self, inputs: Sequence[gc.Tensor]) -> list[Row]:
        """A line for each layer."""
        found = []
        (x,) = inputs
        for layer in self.layers:
            x = layer(x)
            found.append(Row.of(layer, x))
        return found


__all__ = ["Sequential"]
