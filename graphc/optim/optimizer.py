"""`Optimizer`, what all optimisers share: from a loss to the new values of parameters and state.

    loss -> gradients -> clipped -> + weight_decay * w -> accumulated -> `step` of the subclass -> updates

The updates are a dict {variable: new value} for `gc.function(..., updates=...)`, so a training step is one compiled
function, and one native call.

Invariant: an optimiser's whole state is in `state`, as plain variables whose names depend only on the optimiser's
name and those of the parameters; the same values there give the same next step, to the bit. State has its
parameter's dtype; scalars (rate, step) are float64 and int64, and are rounded to the parameter's dtype at the end.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypedDict, Unpack

import numpy as np

import graphc as gc
from graphc.optim.arguments import number, whole_number
from graphc.optim.clipping import clip_by_global_norm, clip_by_norm, clip_by_value
from graphc.optim.schedules import Schedule, plain
from graphc.optim.state import Parameters, State

Updates = dict[gc.Variable, gc.Tensor]


class Options(TypedDict, total=False):
    """Keywords that every optimiser takes; None stands for the usual value.

    Attributes:
        weight_decay: adds weight_decay * w to the gradient of each parameter w, which is an L2 penalty of
            weight_decay / 2 * |w|^2; in AdamW it is decoupled from the gradient.
        undecayed: parameters without weight decay: variables, or names as in `state`.
        clip_value: limit of each element of the gradients.
        clip_norm: limit of the norm of each gradient.
        global_clip_norm: limit of the norm of all gradients together.
        multipliers: factors of the learning rate for some parameters, by variable or name.
        accumulation_steps: how many gradients are averaged before a step is made of them. Parameters and state
            change at every so many-th call only.
        name: the first part of the names of the state; by default the optimiser's own.
    """

    weight_decay: float | None
    undecayed: Sequence[gc.Variable | str] | None
    clip_value: float | None
    clip_norm: float | None
    global_clip_norm: float | None
    multipliers: Mapping[gc.Variable, float] | Mapping[str, float] | None
    accumulation_steps: int | None
    name: str | None


@dataclass(frozen=True, slots=True)
class Now:
    """What a step knows beside parameter and gradient.

    Attributes:
        rate: the parameter's learning rate, a float64 scalar.
        time: the number of this step, from 1, as float64.
        decay: the parameter's weight decay, where it is decoupled.
        shared: what the optimiser computes once for all parameters.
    """

    rate: gc.Tensor
    time: gc.Tensor
    decay: float
    shared: Mapping[str, gc.Tensor]


def like(scalar: gc.Tensor, parameter: gc.Tensor) -> gc.Tensor:
    """A scalar in the parameter's dtype, so that it does not promote it."""
    return gc.astype(scalar, parameter.dtype)


class Optimizer(gc.arguments.Checked):
    """Base of all optimisers; see the module.

    Args:
        learning_rate: a number, which is kept in a variable, or a schedule.
        options: see `Options`.

    Attributes:
        learning_rate: the variable, `opt.learning_rate.assign(0.01)` changes it between steps; or the schedule.
        kind: the optimiser's name in `gc.optim.get`.
        usual_decay: the weight decay where none is given.
        decoupled_decay: whether `step` does the weight decay itself, by `Now.decay`.

    Raises:
        ArgumentError: a setting is outside its range.
    """

    kind: ClassVar[str] = ""
    usual_decay: ClassVar[float] = 0.0
    decoupled_decay: ClassVar[bool] = False

    def __init__(self, learning_rate: float | Schedule, **options: Unpack[Options]) -> None:
        for option in options:
            gc.arguments.choose(f"argument of {type(self).__name__}", self.settings(), option)
        given: dict[str, Any] = {**self._usual(), **{k: v for k, v in options.items() if v is not None}}
        self.name = str(given["name"])
        self.weight_decay = number(self.kind, "weight_decay", given["weight_decay"], "not negative")
        self.undecayed = tuple(given["undecayed"])
        self.clip_value, self.clip_norm, self.global_clip_norm = (
            None if given[limit] is None else number(self.kind, limit, given[limit], "positive")
            for limit in ("clip_value", "clip_norm", "global_clip_norm")
        )
        self.multipliers = {
            parameter: number(self.kind, "a multiplier", factor, "not negative")
            for parameter, factor in given["multipliers"].items()
        }
        self.accumulation_steps = whole_number(self.kind, "accumulation_steps", given["accumulation_steps"])
        self._state = State(self.name)
        self.learning_rate: Any = learning_rate
        if not isinstance(learning_rate, Schedule):
            rate = number(self.kind, "learning_rate", learning_rate, "not negative")
            self.learning_rate = self._state.scalar("learning_rate", rate)

    # What a subclass says ---------------------------------------------------------------------------------------

    def slots(self) -> tuple[str, ...]:
        """The names of the state that each parameter has."""
        return ()

    def initial(self, slot: str, parameter: gc.Variable) -> np.ndarray:
        """The first value of a slot: zeros, of the parameter's shape and dtype."""
        return np.zeros_like(parameter.value)

    def step(
        self, w: gc.Variable, g: gc.Tensor, now: Now, slots: Mapping[str, gc.Tensor]
    ) -> tuple[gc.Tensor, dict[str, gc.Tensor]]:
        """The new value of a parameter `w` with gradient `g`, and those of its slots."""
        raise NotImplementedError

    def shared(
        self, rate: gc.Tensor, time: gc.Tensor, gradients: Sequence[gc.Tensor], loss: gc.Tensor | None
    ) -> tuple[dict[str, gc.Tensor], Updates]:
        """What is computed once for all parameters, and the new values of scalars; see `Now.shared`."""
        return {}, {}

    # From a loss to updates -------------------------------------------------------------------------------------

    def updates(self, loss: gc.Tensor, parameters: Parameters) -> Updates:
        """The new values of parameters and state after one step down the gradient of `loss`.

        Args:
            loss: a float scalar.
            parameters: variables, by name or in a sequence; names become part of the names of the state.

        Returns:
            A dict for the `updates` of `gc.function`. State is made at the first call, and shared by all.

        Raises:
            ArgumentError: no parameters, one twice, or something else than float variables.
            GradientError: the loss is no float scalar, or does not depend on a parameter.

        >>> import numpy as np, graphc as gc
        >>> w = gc.variable(np.ones(3, "float32"), name="w")
        >>> loss = gc.sum(w * w)
        >>> optimizer = gc.optim.SGD(0.25)
        >>> step = gc.function([], loss, updates=optimizer.updates(loss, [w]), backend="numpy")
        >>> step(), w.value
        (array(3., dtype=float32), array([0.5, 0.5, 0.5], dtype=float32))
        """
        chosen = self._state.meet(parameters)
        return self._updates(dict(zip(chosen, gc.grad(loss, chosen))), loss)

    def updates_from(self, gradients: Mapping[gc.Variable, gc.Tensor]) -> Updates:
        """As `updates`, from gradients that were computed in another way.

        Args:
            gradients: for each parameter a tensor of its shape and dtype.

        Raises:
            ArgumentError: as in `updates`.
            ShapeError, DTypeError: a gradient has not its parameter's type.

        >>> import graphc as gc
        >>> w = gc.variable([1.0, 2.0], name="w")
        >>> updates = gc.optim.SGD(0.5).updates_from({w: gc.constant([1.0, 1.0])})
        >>> gc.function([], [], updates=updates, backend="numpy")(); w.value
        []
        array([0.5, 1.5])
        """
        self._state.meet(list(gradients))
        for w, g in gradients.items():
            if not isinstance(g, gc.Tensor):
                label = self._state.label(w)
                raise gc.arguments.refusal(f"{self.kind}: the gradient of {label!r} must be a tensor, not {g!r}")
            if g.type != w.type:
                wrong = gc.DTypeError if g.dtype != w.dtype else gc.ShapeError
                raise wrong(
                    f"{self.kind}: the gradient of {self._state.label(w)!r} is {g.type!r}, the parameter {w.type!r}",
                    location=gc.location.here(),
                )
        return self._updates(dict(gradients), None)

    def minimize(self, loss: gc.Tensor, parameters: Parameters) -> list[gc.Tensor]:
        """The same as assignments, to be fetched by a `gc.Session` as in TensorFlow 1.x; see `updates`.

        >>> import graphc as gc
        >>> w = gc.variable(1.0, name="w")
        >>> train = gc.optim.SGD(0.25).minimize(w * w, [w])
        >>> with gc.Session(backend="numpy") as session:
        ...     _ = session.run(train)
        >>> w.value
        array(0.5)
        """
        return [gc.assign(variable, value) for variable, value in self.updates(loss, parameters).items()]

    def _updates(self, gradients: dict[gc.Variable, gc.Tensor], loss: gc.Tensor | None) -> Updates:
        counter = self._state.scalar("step", 0, "int64")
        time = gc.astype(counter + 1, "float64")
        rate = self.learning_rate(counter) if isinstance(self.learning_rate, Schedule) else self.learning_rate
        decayed = self._decayed(self._clipped(gradients))
        accumulators: Updates = {}
        if self.accumulation_steps > 1:
            decayed, accumulators, due = self._accumulated(decayed)
        shared, new = self.shared(rate, time, list(decayed.values()), loss)
        new[counter] = counter + 1
        factors = self._state.by_parameter("multipliers", self.multipliers)
        exempt = self._state.by_parameter("undecayed", dict.fromkeys(self.undecayed))
        for w, g in decayed.items():
            slots = {slot: self._slot(w, slot) for slot in self.slots()}
            decay = self.weight_decay if self.decoupled_decay and w not in exempt else 0.0
            own_rate = rate * factors[w] if factors.get(w, 1.0) != 1.0 else rate
            new[w], values = self.step(w, g, Now(own_rate, time, decay, shared), slots)
            new.update((slots[slot], value) for slot, value in values.items())
        if accumulators:
            new = {variable: gc.where(due, value, variable) for variable, value in new.items()}
        return {**new, **accumulators}

    def _clipped(self, gradients: dict[gc.Variable, gc.Tensor]) -> dict[gc.Variable, gc.Tensor]:
        found = list(gradients.values())
        if self.clip_value is not None:
            found = [clip_by_value(g, self.clip_value) for g in found]
        if self.clip_norm is not None:
            found = [clip_by_norm(g, self.clip_norm) for g in found]
        if self.global_clip_norm is not None:
            found = clip_by_global_norm(found, self.global_clip_norm)
        return dict(zip(gradients, found))

    def _decayed(self, gradients: dict[gc.Variable, gc.Tensor]) -> dict[gc.Variable, gc.Tensor]:
        if self.decoupled_decay or not self.weight_decay:
            return gradients
        exempt = self._state.by_parameter("undecayed", dict.fromkeys(self.undecayed))
        return {w: g if w in exempt else g + self.weight_decay * w for w, g in gradients.items()}

    def _accumulated(
        self, gradients: dict[gc.Variable, gc.Tensor]
    ) -> tuple[dict[gc.Variable, gc.Tensor], Updates, gc.Tensor]:
        """The means of the gradients so far, what to keep for the next call, and whether a step is due."""
        count = self._state.scalar("accumulated", 0, "int64")
        due = gc.equal(count + 1, self.accumulation_steps)
        kept: Updates = {count: gc.where(due, 0, count + 1)}
        means = {}
        for w, g in gradients.items():
            slot = self._state.slot(w, "accumulated", np.zeros_like(w.value))
            total = slot + g
            means[w] = total / float(self.accumulation_steps)
            kept[slot] = gc.where(due, 0, total)
        return means, kept, due

    # State and settings ----------------------------------------------------------------------------------------

    @property
    def state(self) -> dict[str, gc.Variable]:
        """Every variable of the optimiser by its name, those of parameters once `updates` has seen them.

        >>> import graphc as gc
        >>> w = gc.variable(1.0, name="w")
        >>> optimizer = gc.optim.Adam()
        >>> _ = optimizer.updates(w * w, {"dense1.weight": w})
        >>> sorted(optimizer.state)
        ['adam.dense1.weight.m', 'adam.dense1.weight.v', 'adam.learning_rate', 'adam.step']
        """
        return dict(self._state.variables)

    def _slot(self, parameter: gc.Variable, slot: str) -> gc.Variable:
        return self._state.slot(parameter, slot, self.initial(slot, parameter))

    def config(self) -> dict[str, Any]:
        """All settings as plain data, from which `gc.optim.get` makes the same optimiser, without its state.

        Parameters in `multipliers` and `undecayed` are given by name.

        >>> import graphc as gc
        >>> gc.optim.get(gc.optim.SGD(0.5, momentum=0.9).config()).momentum
        0.9
        """
        usual, found = self._usual(), {setting: self._plain(setting) for setting in self.settings()}
        return {"optimizer": self.kind, **{k: v for k, v in found.items() if k not in usual or v != usual[k]}}

    @classmethod
    def argument_names(cls) -> list[str]:
        """The names of all settings, for messages."""
        return list(cls.settings())

    @classmethod
    def settings(cls) -> dict[str, None]:
        """The names of all settings: the keywords of the optimiser itself, and those of `Options`."""
        own = [p.name for p in inspect.signature(cls).parameters.values() if p.kind != p.VAR_KEYWORD]
        return dict.fromkeys([*own, *Options.__annotations__])

    @classmethod
    def _usual(cls) -> dict[str, Any]:
        """The options where they are not given, which a `config()` leaves out."""
        return {
            "weight_decay": cls.usual_decay, "undecayed": [], "clip_value": None, "clip_norm": None,
            "global_clip_norm": None, "multipliers": {}, "accumulation_steps": 1, "name": cls.kind,
        }  # fmt: skip

    def _plain(self, setting: str) -> Any:
        value = getattr(self, setting)
        if isinstance(value, gc.Variable):
            return float(value.value)
        if isinstance(value, Mapping):
            return {self._state.label(key): plain(entry) for key, entry in value.items()}
        if setting == "undecayed":
            return [self._state.label(key) for key in value]
        return plain(value)

    def __repr__(self) -> str:
        settings = {k: v for k, v in self.config().items() if k != "optimizer"}
        shown = {k: getattr(self, k) if isinstance(v, dict) and k != "multipliers" else v for k, v in settings.items()}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in shown.items())})"
