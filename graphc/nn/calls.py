"""Which layer made a tensor, out of what: the record that functional models walk.

Invariant: every result of a layer's call is a new tensor, so that it names its call; where the layer's function
is the identity (dropout in inference), the result is a copy that the passes take away. The record lives as
long as the tensors do.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import graphc as gc

if TYPE_CHECKING:
    from graphc.nn.layer import Layer


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer.

    Attributes:
        layer: what was called.
        inputs: its positional arguments: tensors, or sequences of tensors.
        options: its keyword arguments.
    """

    layer: Layer
    inputs: tuple[Any, ...]
    options: Mapping[str, Any]

    @property
    def tensors(self) -> tuple[gc.Tensor, ...]:
        """All tensors among the arguments, each once."""
        found: dict[gc.Tensor, None] = {}
        for value in (*self.inputs, *self.options.values()):
            if isinstance(value, gc.Tensor):
                found[value] = None
            elif isinstance(value, (list, tuple)):
                found.update(dict.fromkeys(v for v in value if isinstance(v, gc.Tensor)))
        return tuple(found)

    def again(self, replaced: Mapping[gc.Tensor, gc.Tensor]) -> tuple[gc.Tensor, ...]:
        """The results of the same call on other tensors: those of `replaced` in place of its keys."""
        inputs = tuple(_replaced(value, replaced) for value in self.inputs)
        options = {name: _replaced(value, replaced) for name, value in self.options.items()}
        result = self.layer(*inputs, **options)
        return result if isinstance(result, tuple) else (result,)


_calls: weakref.WeakKeyDictionary[gc.Tensor, tuple[Call, int]] = weakref.WeakKeyDictionary()


def call_of(tensor: gc.Tensor) -> tuple[Call, int] | None:
    """The call of a layer that made `tensor`, and the position among the call's results; None if no layer did.

    For a layer made of layers it is the call of the outermost one.

    >>> import graphc as gc
    >>> x = gc.nn.Input((3,))
    >>> call, position = gc.nn.call_of(gc.nn.Dense(2, name="dense")(x))
    >>> call.layer, call.tensors == (x,), position, gc.nn.call_of(x)
    (<Dense 'dense'>, True, 0, None)
    """
    return _calls.get(tensor)


def with_constants(value: Any) -> Any:
    """A layer's argument, with arrays as constants; also those in a sequence.

    >>> import graphc as gc
    >>> with_constants(np.ones(3)).type, with_constants(0.5), with_constants(None)
    (f64[3], 0.5, None)
    """
    if isinstance(value, np.ndarray):
        return gc.constant(value)
    if isinstance(value, (list, tuple)) and any(isinstance(entry, np.ndarray) for entry in value):
        return [with_constants(entry) for entry in value]
    return value


def record(layer: Layer, inputs: tuple[Any, ...], options: Mapping[str, Any], result: Any) -> Any:
    """`result`, of which each tensor now names this call.

    Raises:
        ArgumentError: it is not made of tensors.
    """
    call = Call(layer, inputs, dict(options))
    if isinstance(result, (tuple, list)):
        return tuple(_recorded(tensor, call, position) for position, tensor in enumerate(result))
    return _recorded(result, call, 0)


def _recorded(tensor: gc.Tensor, call: Call, position: int) -> gc.Tensor:
    if not isinstance(tensor, gc.Tensor):
        call.layer.refuse(gc.ArgumentError, f"a layer gives a tensor or a tuple of tensors, not {tensor!r}")
    # A placeholder, a variable or an argument handed through is what it was before the call.
    if tensor in call.tensors or tensor.op.name in ("placeholder", "variable"):
        tensor = gc.squeeze(gc.expand_dims(tensor, 0), 0)
    _calls[tensor] = (call, position)
    return tensor


def _replaced(value: Any, replaced: Mapping[gc.Tensor, gc.Tensor]) -> Any:
    if isinstance(value, gc.Tensor):
        return replaced.get(value, value)
    if isinstance(value, (list, tuple)):
        return type(value)(_replaced(v, replaced) for v in value)
    return value
