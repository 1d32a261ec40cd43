"""`Bidirectional`: one recurrent layer forwards in time and one backwards.

Invariant: both results stand at the place of their element when they are merged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import graphc as gc
from graphc.nn.checking import one_of
from graphc.nn.configs import layer_from
from graphc.nn.layer import Layer
from graphc.nn.recurrent import Recurrent

_MERGES: dict[str, Callable[[gc.Tensor, gc.Tensor], gc.Tensor]] = {
    "concat": lambda forward, backward: gc.concat([forward, backward], axis=-1),
    "sum": lambda forward, backward: forward + backward,
    "mean": lambda forward, backward: (forward + backward) * 0.5,
    "multiply": lambda forward, backward: forward * backward,
}


class Bidirectional(Layer):
    """A recurrent layer in both directions of time, with weights of its own for each.

    M. Schuster, K. Paliwal: Bidirectional Recurrent Neural Networks, 1997.

    Args:
        layer: a layer that has not been called; two like it are made, called `<name>.forward` and
            `<name>.backward`.
        merge: "concat" along the last axis, "sum", "mean" or "multiply".

    Call with:
        mask: as for the layer.
        initial_state: the states of the forward layer, then those of the backward one.

    The result is (batch, units) of both last states (the backward layer's last is at time 0), or all of
    them if the layer has return_sequences; with return_state a tuple, with the states of both behind.

    Raises:
        ArgumentError: an argument is not what it should be.

    >>> import graphc as gc
    >>> both = gc.nn.Bidirectional(gc.nn.LSTM(8, return_sequences=True), name="both")
    >>> both(gc.nn.Input((10, 3))).type, [layer.name for layer in both.sublayers]
    (f32[batch,10,16], ['both.forward', 'both.backward'])
    """

    def __init__(self, layer: Recurrent | Mapping[str, Any], merge: str = "concat", **options: Any) -> None:
        super().__init__(**options)
        self.merge = one_of(self.name, "merge", merge, tuple(_MERGES))
        pattern = layer_from(layer)
        if not isinstance(pattern, Recurrent):
            self.refuse(gc.ArgumentError, f"takes a recurrent layer, not {pattern!r}")
        if pattern.built:
            self.refuse(gc.ArgumentError, f"takes a layer that has not been called; {pattern!r} has")
        config = pattern.config() | {"trainable": self.trainable and pattern.trainable}
        if self.dtype is not None:
            config["dtype"] = self.dtype.name
        backwards = {"name": f"{self.name}.backward", "go_backwards": not pattern.go_backwards}
        if pattern.seed is not None:
            backwards["seed"] = pattern.seed + 1  # not the same weights twice
        self.forward = type(pattern)(**config | {"name": f"{self.name}.forward"})
        self.backward = type(pattern)(**config | backwards)

    @property
    def layer(self) -> Recurrent:
        """The forward layer."""
        return self.forward

    def call(
        self,
        x: gc.Tensor,
        /,
        *,
        mask: gc.Tensor | None = None,
        initial_state: Sequence[gc.Tensor] | None = None,
    ) -> gc.Tensor | tuple[gc.Tensor, ...]:
        """See the class."""
        count = len(self.forward.states)
        if initial_state is not None and len(initial_state) != 2 * count:
            self.refuse(gc.ArgumentError, f"initial_state takes {2 * count} tensors, not {len(initial_state)}")
        starts = (None, None) if initial_state is None else (initial_state[:count], initial_state[count:])
        results = [
            layer(x, mask=mask, initial_state=start) for layer, start in zip((self.forward, self.backward), starts)
        ]
        pairs = [result if isinstance(result, tuple) else (result,) for result in results]
        y = _MERGES[self.merge](pairs[0][0], pairs[1][0])
        return (y, *pairs[0][1:], *pairs[1][1:]) if self.forward.return_state else y

    def reset_state(self) -> None:
        """Set the carried states of stateful layers back to 0, now."""
        self.forward.reset_state()
        self.backward.reset_state()
