"""`Layer`: a callable object that holds parameters, and the record of what it was called on.

A subclass says in `build` which parameters it has, and in `call` what it computes:

>>> import graphc as gc
>>> class Scale(gc.nn.Layer):
...     def build(self, x):
...         self.factor = self.parameter("factor", (self.extent(x, -1, "the number of features"),), "ones")
...     def call(self, x):
...         return x * self.factor
>>> scale = Scale(name="scale")
>>> scale(gc.nn.Input((3,))).type, scale.parameters
(f32[batch,3], {'scale.factor': <Tensor 'scale.factor': variable f32[3], ...>})

Parameters are made by the first call, from the extents of its input; later calls share them. Whether a layer
acts as in training is said by `with training() as updates`, and by nothing else (see blocks.py).

Invariant: every argument of a layer's constructor stays in an attribute of the same name, so that `config`
needs no code of its own; and the first values of a parameter depend only on its dotted name and the seed.
"""

from __future__ import annotations

import inspect
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

import graphc as gc
from graphc.nn import initializers
from graphc.nn.blocks import current_block
from graphc.nn.calls import record, with_constants
from graphc.nn.checking import flag, seed_number
from graphc.nn.configs import CLASSES, plain
from graphc.nn.initializers import Initializer
from graphc.nn.naming import checked_name, snake_case, unique_name

#: Held while a layer makes its parameters, so that two threads which call it first make them once.
_BUILDING = threading.RLock()


class Layer(gc.arguments.Checked):
    """A function of tensors with parameters.

    Args:
        name: what its variables and messages are called after; by default the class's name and a count.
        dtype: "float32" or "float64", in which it computes and keeps its parameters; inputs are cast to it.
            None: that of the first call's input, or float32 where that is no float.
        seed: a whole number, from which the first values of the parameters are drawn; by default one that
            follows from the name, or from the place in a model that has a seed.
        trainable: whether its parameters are trained; can be set later, for all layers inside as well.

    Raises:
        ArgumentError: an argument is not what it should be.

    >>> import graphc as gc
    >>> dense = gc.nn.Dense(2, name="dense")
    >>> dense(gc.nn.Input((3,))).type, dense.parameter_count
    (f32[batch,2], 8)
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        dtype: Any = None,
        seed: int | None = None,
        trainable: bool = True,
    ) -> None:
        self.name = unique_name(snake_case(type(self).__name__)) if name is None else checked_name(name)
        self.dtype = None if dtype is None else _float_dtype(self.name, dtype)
        self.seed = None if seed is None else seed_number(self.name, seed)
        self._place_seed: int | None = None
        self.built = False
        self._line = gc.location.here()
        self._trainable = flag(self.name, "trainable", trainable)
        self._parameters: dict[str, gc.Variable] = {}
        self._draws: dict[str, tuple[Any, tuple[int, int] | None]] = {}
        self._state: dict[str, gc.Variable] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.__module__.startswith("graphc."):
            CLASSES[cls.__name__] = cls

    # for subclasses -----------------------------------------------------------------------------------------

    def build(self, *inputs: Any) -> None:
        """Make the parameters, given what the first call is given; by default there are none."""

    def call(self, *inputs: Any, **options: Any) -> Any:
        """The layer's function of its inputs: a tensor, or a tuple of tensors."""
        raise NotImplementedError(f"{type(self).__name__} has no call method")

    def parameter(
        self,
        name: str,
        shape: Sequence[int],
        initializer: str | Mapping[str, Any] | Initializer,
        *,
        fans: tuple[int, int] | None = None,
    ) -> gc.Variable:
        """A new parameter of the layer, called `<layer>.<name>`.

        Args:
            name: its name within the layer.
            shape: its extents.
            initializer: what draws its first value.
            fans: how many inputs and outputs each of its outputs and inputs has, for initialisers that ask;
                by default as for a weight of Dense (in, out) or of a convolution (out, in, *window).
        """
        self._draws[name] = initializer, fans
        return self._store(self._parameters, name, self._drawn(name, shape))

    def state_variable(self, name: str, value: Any) -> gc.Variable:
        """A new variable that is kept but not trained, called `<layer>.<name>`."""
        return self._store(self._state, name, np.asarray(value))

    def current(self, variable: gc.Variable) -> gc.Tensor:
        """The value of a state variable at this place: after what the block at hand has already done to it."""
        block = current_block()
        return block.updates.get(variable, variable) if block else variable

    def update(self, variable: gc.Variable, value: gc.Tensor) -> None:
        """Put the new value of a state variable in the dict of the block at hand; without a block, nothing."""
        block = current_block()
        if block:
            block.updates[variable] = value

    @property
    def in_training(self) -> bool:
        """Whether the layer is called inside a `training()` block."""
        block = current_block()
        return block is not None and block.training

    def operand(self, x: Any) -> gc.Tensor:
        """`x` in the layer's dtype."""
        self.expect_axes(x, 0, "a tensor")
        return gc.astype(x, self.compute_dtype)

    @property
    def compute_dtype(self) -> np.dtype[Any]:
        """The dtype of the layer's parameters; float32 where nothing else was said."""
        return self.dtype or np.dtype("float32")

    def extent(self, x: gc.Tensor, axis: int, meaning: str) -> int:
        """The extent of an axis that must be a number.

        Raises:
            ShapeError: it is symbolic; `meaning` says what it is the number of.
        """
        size = x.shape[axis]
        if not isinstance(size, int):
            message = f"{meaning} must be known, but is the symbolic size {size}: the input is {x.type!r}"
            self.refuse(gc.ShapeError, message, hint="give the placeholder a number there")
        return size

    def expect_rank(self, x: gc.Tensor, rank: int, axes: str) -> None:
        """Refuse an input of another rank.

        Raises:
            ShapeError: `axes` says what the axes of the right one are.
        """
        self._expect_tensor(x, axes)
        if x.ndim != rank:
            self.refuse(gc.ShapeError, f"takes {axes}, of rank {rank}, not {x.type!r} of rank {x.ndim}")

    def expect_axes(self, x: gc.Tensor, least: int, axes: str) -> None:
        """Refuse an input of fewer axes.

        Raises:
            ShapeError: `axes` says what the axes of the right one are.
        """
        self._expect_tensor(x, axes)
        if x.ndim < least:
            self.refuse(gc.ShapeError, f"takes {axes}, of rank {least} or more, not {x.type!r}")

    def refuse(self, error: type[gc.GraphcError], message: str, *, hint: str | None = None) -> NoReturn:
        """Raise `error` with the layer's name and the user's line."""
        raise error(f"{self.name}: {message}", location=gc.location.here(), hint=hint)

    # for users ----------------------------------------------------------------------------------------------

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """The layer applied to tensors (or arrays); the first call makes the parameters.

        Raises:
            ArgumentError: another number of arguments than the layer takes, or other options.
            GraphcError: the inputs do not fit the layer.
        """
        with gc.location.at(gc.location.caller() or self._line, self.name):
            inputs = tuple(with_constants(x) for x in inputs)
            options = {name: with_constants(x) for name, x in options.items()}
            try:
                inspect.signature(self.call).bind(*inputs, **options)
            except TypeError as error:
                self.refuse(gc.ArgumentError, f"cannot be called so: {error}")
            if not self.built:
                with _BUILDING:
                    self._build(inputs)
            return record(self, inputs, options, self.call(*inputs, **options))

    @property
    def trainable(self) -> bool:
        """Whether the parameters are trained. Setting it sets it for the layers inside, too."""
        return self._trainable

    @trainable.setter
    def trainable(self, trained: bool) -> None:
        self._trainable = flag(self.name, "trainable", trained)
        for layer in self.sublayers:
            layer.trainable = trained

    @property
    def sublayers(self) -> tuple[Layer, ...]:
        """The layers that this one holds in attributes, or in lists, tuples and dicts there; each once."""
        found: dict[Layer, None] = {}
        for value in vars(self).values():
            found.update(dict.fromkeys(_layers_in(value)))
        return tuple(found)

    @property
    def parameters(self) -> dict[str, gc.Variable]:
        """What is trained, by dotted name, with that of the layers inside; empty before the first call.

        Raises:
            ArgumentError: two variables have one name, since two layers do.
        """
        return self._collected(lambda layer: layer._parameters if layer.trainable else {})

    @property
    def state(self) -> dict[str, gc.Variable]:
        """What is kept but not trained: running moments, seeds, carried states, and frozen parameters.

        Raises:
            ArgumentError: two variables have one name, since two layers do.
        """
        return self._collected(lambda layer: layer._state if layer.trainable else layer._parameters | layer._state)

    @property
    def variables(self) -> dict[str, gc.Variable]:
        """Parameters and state, trained or not: all that a saved model needs."""
        return self._collected(lambda layer: layer._parameters | layer._state)

    @property
    def parameter_count(self) -> int:
        """The number of numbers in the parameters, frozen ones included; 0 before the first call."""
        chosen = self._collected(lambda layer: layer._parameters)
        return sum(variable.storage.size for variable in chosen.values())

    @property
    def first_seed(self) -> int:
        """What the first values follow from: the layer's seed, else its place in a model with a seed, else its name."""
        if self.seed is not None:
            return self.seed
        # Python's hash differs from process to process; a checksum does not.
        return zlib.crc32(self.name.encode()) if self._place_seed is None else self._place_seed

    def reseed(self, seed: int) -> None:
        """Draw the first values anew, for all layers inside as well: from `seed` and their places, not their names.

        Layers that were given a seed of their own keep it. So two nets of one structure begin alike, whatever the
        names of their layers are.

        Raises:
            ArgumentError: the seed is no whole number from 0 on.

        >>> import graphc as gc
        >>> nets = [gc.Sequential([gc.nn.Input((3,)), gc.nn.Dense(2)]) for _ in range(2)]
        >>> for net in nets:
        ...     net.reseed(7)
        >>> a, b = (list(net.get_weights().values())[0] for net in nets)
        >>> bool((a == b).all())
        True
        """
        self._place_seed = seed_number(self.name, seed)
        self._seed_sublayers(self._place_seed)
        if self.built and self.seed is None:
            self._redraw()

    def config(self) -> dict[str, Any]:
        """The arguments that make such a layer again, as plain data: numbers, strings, lists and dicts.

        >>> import graphc as gc
        >>> again = gc.nn.Dense.from_config(gc.nn.Dense(3, activation="relu", name="h").config())
        >>> again.units, again.name, again.config()["activation"]
        (3, 'h', 'relu')
        """
        return {name: plain(getattr(self, name)) for name in self.argument_names()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Layer:
        """A new layer from what `config` gave; it shares no variables with the old one.

        Raises:
            ArgumentError: an entry is no argument of this layer.
        """
        for name in config:
            gc.arguments.choose(f"argument of {cls.__name__}", dict.fromkeys(cls.argument_names(), True), name)
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    # inside -------------------------------------------------------------------------------------------------

    def _expect_tensor(self, x: Any, axes: str) -> None:
        if not isinstance(x, gc.Tensor):
            self.refuse(gc.ArgumentError, f"takes {axes}, not {x!r}")

    def _build(self, inputs: tuple[Any, ...]) -> None:
        if self.built:  # by another thread, meanwhile
            return
        wanted = self.dtype
        if self.dtype is None:
            floats = [x.dtype for x in inputs if isinstance(x, gc.Tensor) and x.dtype.kind == "f"]
            self.dtype = floats[0] if floats else None
        try:
            self.build(*inputs)
        except BaseException:
            self.dtype = wanted
            self._parameters.clear()
            self._state.clear()
            raise
        self.built = True
        if self._place_seed is not None:
            self._seed_sublayers(self._place_seed)  # those that `build` made

    def _seed_sublayers(self, seed: int) -> None:
        for place, layer in enumerate(self.sublayers):
            inner = zlib.crc32(f"{seed} {place}".encode())
            if layer._place_seed != inner:
                layer.reseed(inner)

    def _drawn(self, name: str, shape: Sequence[int]) -> np.ndarray:
        """The first value of a parameter."""
        initializer, fans = self._draws[name]
        words = (self.first_seed, zlib.crc32(name.encode()))
        return initializers.get(initializer)(tuple(shape), self.compute_dtype, seed=words, fans=fans)

    def _redraw(self) -> None:
        """Give the variables their first values."""
        for name, variable in self._parameters.items():
            variable.assign(self._drawn(name, variable.storage.shape))

    def _store(self, where: dict[str, gc.Variable], name: str, value: np.ndarray) -> gc.Variable:
        if name in self._parameters or name in self._state:
            self.refuse(gc.ArgumentError, f"has two variables called {name!r}")
        where[name] = gc.variable(value, name=f"{self.name}.{name}")
        return where[name]

    def _collected(self, chosen: Callable[[Layer], Mapping[str, gc.Variable]]) -> dict[str, gc.Variable]:
        found: dict[str, gc.Variable] = {}
        for layer in self.walk():
            for variable in chosen(layer).values():
                if found.setdefault(variable.name or "", variable) is not variable:
                    message = f"two layers are called {layer.name!r}"
                    self.refuse(gc.ArgumentError, message, hint="give each its own name")
        return found

    def walk(self) -> Iterator[Layer]:
        """This layer and all layers inside it, each once, outer ones first."""
        seen: set[Layer] = set()
        stack: list[Layer] = [self]
        while stack:
            layer = stack.pop()
            if layer not in seen:
                seen.add(layer)
                yield layer
                stack.extend(reversed(layer.sublayers))


def _layers_in(value: Any) -> Iterator[Layer]:
    if isinstance(value, Layer):
        yield value
    elif isinstance(value, (list, tuple)):
        yield from (v for v in value if isinstance(v, Layer))
    elif isinstance(value, dict):
        yield from (v for v in value.values() if isinstance(v, Layer))


def _float_dtype(layer: str, dtype: Any) -> np.dtype[Any]:
    found = gc.constant(0, dtype).dtype
    if found.kind != "f":
        raise gc.DTypeError(f"{layer}: dtype must be float32 or float64, not {found}", location=gc.location.here())
    return found


__all__ = ["Layer"]
