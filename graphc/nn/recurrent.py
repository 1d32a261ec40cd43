"""Recurrent layers: SimpleRNN, LSTM, GRU.

Each is one `gc.scan` along the time axis, so a sequence may have any length, and no step is unrolled. What does
not depend on the state, x W + b, is one product for all times before the loop; in it remains what does:

    x (batch, time, features) -> z = x W + b (time, batch, gates * units) -> scan of h' = step(z_t, h)

Invariant: at a masked time the state stays what it was; and a layer that is stateful begins where its last call
in a `training()` or `inference()` block, with the updates of that block, has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

import graphc as gc
from graphc.nn import activations, initializers
from graphc.nn.activations import Activation
from graphc.nn.checking import flag, number, positive_integer, tensor
from graphc.nn.initializers import Initializer
from graphc.nn.layer import Layer

State = tuple[gc.Tensor, ...]


class Recurrent(Layer):
    """What the recurrent layers share; `LSTM` lists the arguments.

    A subclass has `gates`, the number of its products, `states`, the names of its states, and `step`.
    """

    gates: ClassVar[int]
    states: ClassVar[tuple[str, ...]] = ("h",)

    def __init__(
        self,
        units: int,
        *,
        activation: str | Activation | None = "tanh",
        return_sequences: bool = False,
        return_state: bool = False,
        stateful: bool = False,
        go_backwards: bool = False,
        use_bias: bool = True,
        weight_init: str | Initializer | dict[str, Any] = "glorot_uniform",
        recurrent_init: str | Initializer | dict[str, Any] = "orthogonal",
        bias_init: str | Initializer | dict[str, Any] = "zeros",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.units = positive_integer(self.name, "units", units)
        self.activation = activations.get(activation)
        self.return_sequences = flag(self.name, "return_sequences", return_sequences)
        self.return_state = flag(self.name, "return_state", return_state)
        self.stateful = flag(self.name, "stateful", stateful)
        self.go_backwards = flag(self.name, "go_backwards", go_backwards)
        self.use_bias = flag(self.name, "use_bias", use_bias)
        self.weight_init = initializers.get(weight_init)
        self.recurrent_init = initializers.get(recurrent_init)
        self.bias_init = initializers.get(bias_init)

    def build(self, x: gc.Tensor) -> None:
        """Make the weights, the bias, and the carried states of a stateful layer."""
        self.expect_rank(x, 3, "(batch, time, features)")
        features, width = self.extent(x, 2, "the number of features"), self.gates * self.units
        self.weight = self.parameter("weight", (features, width), self.weight_init)
        self.recurrent_weight = self.parameter("recurrent_weight", (self.units, width), self.recurrent_init)
        self.bias = self.parameter("bias", (width,), self.bias_init) if self.use_bias else None
        self._carried: list[gc.Variable] = []
        if self.stateful:
            batch = self.extent(x, 0, "the batch of a stateful layer")
            zeros = np.zeros((batch, self.units), self.compute_dtype)
            self._carried = [self.state_variable(name, zeros) for name in self.states]

    def step(self, z: gc.Tensor, *state: gc.Tensor) -> State:
        """The states after one step, given x_t W + b and the states before it."""
        raise NotImplementedError

    def call(
        self,
        x: gc.Tensor,
        /,
        *,
        mask: gc.Tensor | None = None,
        initial_state: gc.Tensor | Sequence[gc.Tensor] | None = None,
    ) -> gc.Tensor | tuple[gc.Tensor, ...]:
        """The states h of all times or of the last, and the final states if they are wanted."""
        self.expect_rank(x, 3, "(batch, time, features)")
        z = gc.matmul(gc.permute_dims(self.operand(x), (1, 0, 2)), self.weight)
        z = z if self.bias is None else z + self.bias
        result = gc.scan(
            self.step if mask is None else self._masked_step,
            sequences=[z] if mask is None else [z, self._mask(mask, x)],
            init=self._initial(x, initial_state),
            reverse=self.go_backwards,
        )
        last = tuple(result.last)
        for variable, value in zip(self._carried, last):
            self.update(variable, gc.stop_gradient(value))
        y = gc.permute_dims(result.states[0], (1, 0, 2)) if self.return_sequences else last[0]
        return (y, *last) if self.return_state else y

    def reset_state(self) -> None:
        """Set the carried states of a stateful layer back to 0, now.

        >>> import graphc as gc
        >>> gc.nn.LSTM(4, stateful=True).reset_state()
        """
        for variable in self._carried if self.built else ():
            variable.assign(np.zeros_like(variable.storage))

    def recurrent(self, h: gc.Tensor) -> gc.Tensor:
        """h U, for all gates at once."""
        return gc.matmul(h, self.recurrent_weight)

    def _masked_step(self, z: gc.Tensor, present: gc.Tensor, *state: gc.Tensor) -> State:
        return tuple(gc.where(present, new, old) for new, old in zip(self.step(z, *state), state))

    def _mask(self, mask: gc.Tensor, x: gc.Tensor) -> gc.Tensor:
        """(batch, time) -> (time, batch, 1)."""
        mask = tensor(self.name, "mask", mask)
        if mask.ndim != 2 or mask.dtype.kind != "b":
            self.refuse(gc.ShapeError, f"a mask is of booleans (batch, time), not {mask.type!r}: x is {x.type!r}")
        return gc.expand_dims(gc.permute_dims(mask, (1, 0)), 2)

    def _initial(self, x: gc.Tensor, given: gc.Tensor | Sequence[gc.Tensor] | None) -> list[gc.Tensor]:
        if given is None:
            if self._carried:
                return [self.current(variable) for variable in self._carried]
            return [gc.zeros((x.shape[0], self.units), self.compute_dtype) for _ in self.states]
        entries = given if isinstance(given, (list, tuple)) else [given]
        states = [tensor(self.name, "initial_state", entry) for entry in entries]
        if len(states) != len(self.states):
            wanted = f"{len(self.states)} tensors ({', '.join(self.states)})"
            self.refuse(gc.ArgumentError, f"initial_state takes {wanted}, not {len(states)}")
        for state in states:
            if state.ndim != 2 or state.shape[1] != self.units:
                self.refuse(gc.ShapeError, f"a state is (batch, {self.units}), not {state.type!r}")
        return [self.operand(state) for state in states]


class SimpleRNN(Recurrent):
    """h' = activation(x W + h U + b).

    J. Elman: Finding Structure in Time, 1990. Arguments as for `LSTM`.

    >>> import graphc as gc
    >>> gc.nn.SimpleRNN(50)(gc.nn.Input((10, 1))).type
    f32[batch,50]
    """

    gates = 1

    def step(self, z: gc.Tensor, *state: gc.Tensor) -> State:
        """See the class."""
        return (self.activation(z + self.recurrent(state[0])),)


class LSTM(Recurrent):
    """Long short-term memory: (batch, time, features) -> (batch, units), or (batch, time, units).

        i, f, g, o = split(x W + h U + b)       the gates lie in this order, as in PyTorch and Keras
        c' = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h' = sigmoid(o) * tanh(c')

    S. Hochreiter, J. Schmidhuber: Long Short-Term Memory, 1997; with the forget gate of F. Gers, J. Schmidhuber,
    F. Cummins: Learning to Forget, 2000; whose bias is 1 at first after R. Jozefowicz and others: An Empirical
    Exploration of Recurrent Network Architectures, 2015.

    Args:
        units: the size of the state.
        activation: in place of tanh.
        recurrent_activation: in place of sigmoid.
        forget_bias: what the bias of the forget gate is at first, on top of `bias_init`.
        return_sequences: whether the result is h at all times, and not only at the last.
        return_state: whether the result is a tuple, with the final states behind: (y, h, c).
        stateful: whether each call begins with the final states of the one before; needs a batch of known size.
        go_backwards: whether time runs from the last element to the first. Each h stays at the place of its x,
            so the last one is at time 0.
        use_bias: whether there is a bias b.
        weight_init, recurrent_init, bias_init: initialisers of W, U and b, by name, config or as objects.

    Call with:
        mask: booleans (batch, time), false where there is no element: the states stay what they were.
        initial_state: the states to begin with, (h, c); by default 0.

    Raises:
        ArgumentError: an argument is not what it should be.
        ShapeError: at the call: the input is not of rank 3, or a size that must be known is not.

    >>> import graphc as gc
    >>> lstm = gc.nn.LSTM(50, name="lstm")
    >>> lstm(gc.nn.Input((10, 1))).type, lstm.parameter_count
    (f32[batch,50], 10400)
    """

    gates = 4
    states = ("h", "c")

    def __init__(
        self, units: int, *, recurrent_activation: str | Activation | None = "sigmoid", forget_bias: float = 1.0,
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(units, **options)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.forget_bias = number(self.name, "forget_bias", forget_bias)

    def build(self, x: gc.Tensor) -> None:
        """Make the weights, the bias, and the carried states."""
        super().build(x)
        if self.bias is not None and self.forget_bias:
            value = self.bias.value
            value[self.units : 2 * self.units] += self.forget_bias
            self.bias.assign(value)

    def step(self, z: gc.Tensor, *state: gc.Tensor) -> State:
        """See the class."""
        h, c = state
        i, f, g, o = gc.split(z + self.recurrent(h), 4, axis=-1)
        gate, squash = self.recurrent_activation, self.activation
        c = gate(f) * c + gate(i) * squash(g)
        return gate(o) * squash(c), c


class GRU(Recurrent):
    """Gated recurrent unit: (batch, time, features) -> (batch, units), or (batch, time, units).

        r = sigmoid(x W_r + h U_r + b_r)        the gates lie in the order r, z, n, as in PyTorch (Keras: z, r, h)
        z = sigmoid(x W_z + h U_z + b_z)
        n = tanh(x W_n + b_n + r * (h U_n + c_n))        reset_after=False: tanh(x W_n + b_n + (r * h) U_n)
        h' = (1 - z) * n + z * h        computed as n + z * (h - n)

    K. Cho and others: Learning Phrase Representations using RNN Encoder-Decoder, 2014, has the form with
    reset_after=False; the other is that of cuDNN, PyTorch and Keras, with one product per step.

    Args:
        reset_after: whether the reset gate is applied after the product with the state, see above.
        recurrent_activation: in place of sigmoid.
        others: as for `LSTM`; the state is h alone.

    Raises:
        ArgumentError, ShapeError: as for `LSTM`.

    >>> import graphc as gc
    >>> gc.nn.GRU(50, return_sequences=True)(gc.nn.Input((10, 1))).type
    f32[batch,10,50]
    """

    gates = 3

    def __init__(
        self, units: int, *, recurrent_activation: str | Activation | None = "sigmoid", reset_after: bool = True,
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(units, **options)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.reset_after = flag(self.name, "reset_after", reset_after)

    def build(self, x: gc.Tensor) -> None:
        """Make the weights, the biases, and the carried state."""
        super().build(x)
        both = self.use_bias and self.reset_after
        self.recurrent_bias = self.parameter("recurrent_bias", (self.units,), self.bias_init) if both else None

    def step(self, z: gc.Tensor, *state: gc.Tensor) -> State:
        """See the class."""
        (h,), gate, two = state, self.recurrent_activation, 2 * self.units
        if self.reset_after:
            product = self.recurrent(h)
            reset, keep = gc.split(gate(z[:, :two] + product[:, :two]), 2, axis=-1)
            inner = product[:, two:] if self.recurrent_bias is None else product[:, two:] + self.recurrent_bias
            new = self.activation(z[:, two:] + reset * inner)
        else:
            reset, keep = gc.split(gate(z[:, :two] + gc.matmul(h, self.recurrent_weight[:, :two])), 2, axis=-1)
            new = self.activation(z[:, two:] + gc.matmul(reset * h, self.recurrent_weight[:, two:]))
        return (new + keep * (h - new),)
