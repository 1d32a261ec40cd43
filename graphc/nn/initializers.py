"""What parameters are at first: initialisers, by name or as objects, reached as `gc.nn.initializers`.

An initialiser is called with a shape, a dtype and a seed, and gives an array:

>>> import graphc as gc
>>> gc.nn.initializers.get("glorot_uniform")((3, 2), "float32", seed=1).shape
(3, 2)

The variance-scaling ones (Glorot, He, LeCun) need to know how many numbers enter each output (fan in) and how
many outputs each number enters (fan out): for a weight of `Dense`, (in, out), these are its extents; for one of
a convolution, (out, in, *window), each is multiplied by the size of the window.

Invariant: the same initialiser, shape, dtype and seed give the same array, in every process.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

import graphc as gc
from graphc.nn.checking import number, seed_number

Seed = int | Sequence[int]
Fans = tuple[int, int]

# The standard deviation of the standard normal distribution cut off at two, so that a drawn one can be scaled back.
_TRUNCATED_DEVIATION = 0.87962566103423978


@dataclass(frozen=True, kw_only=True)
class Initializer(gc.arguments.Checked):
    """Base of all initialisers.

    Attributes:
        seed: a whole number that takes the place of the caller's seed, or None.
    """

    seed: int | None = None
    name: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            self.check(field.name, getattr(self, field.name))

    def check(self, argument: str, value: Any) -> None:
        """Refuse a value that an argument cannot have.

        Raises:
            ArgumentError: it is no number; or negative, where it is a standard deviation.
        """
        if argument != "seed":
            number(self.name, argument, value)
        elif value is not None:
            seed_number(self.name, value)
        if argument == "std" and value < 0:
            raise gc.arguments.refusal(f"{self.name}: std must not be negative, but is {value}")

    def __call__(
        self, shape: Sequence[int], dtype: Any = "float32", *, seed: Seed = 0, fans: Fans | None = None
    ) -> np.ndarray:
        """An array of first values.

        Args:
            shape: its extents.
            dtype: float32 or float64.
            seed: whole numbers from which it is drawn, unless the initialiser has a seed of its own.
            fans: fan in and fan out; by default read off the shape, see the module's text.
        """
        extents = tuple(shape)
        words = np.random.SeedSequence(list(seed) if isinstance(seed, Sequence) else seed)
        generator = np.random.Generator(np.random.Philox(words if self.seed is None else self.seed))
        value = self.draw(extents, generator, fans or fans_of(extents))
        return np.ascontiguousarray(value, dtype).reshape(extents)

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator, fans: Fans) -> np.ndarray:
        """The values in float64; what a subclass defines."""
        raise NotImplementedError

    def config(self) -> dict[str, Any]:
        """Name and arguments as plain data, which `get` takes.

        >>> import graphc as gc
        >>> gc.nn.initializers.get("zeros").config()
        {'name': 'zeros', 'seed': None}
        """
        return {"name": self.name, **dataclasses.asdict(self)}


def fans_of(shape: tuple[int, ...]) -> Fans:
    """Fan in and fan out of a parameter of this shape.

    >>> fans_of((784, 10)), fans_of((64, 32, 3, 3)), fans_of((10,))
    ((784, 10), (288, 576), (10, 10))
    """
    if len(shape) < 2:
        return (math.prod(shape), math.prod(shape))
    if len(shape) == 2:
        return (shape[0], shape[1])
    window = math.prod(shape[2:])
    return (shape[1] * window, shape[0] * window)


@dataclass(frozen=True, kw_only=True)
class Zeros(Initializer):
    """All 0."""

    name = "zeros"

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator, fans: Fans) -> np.ndarray:
        """See `Initializer`."""
        return np.zeros(shape)


@dataclass(frozen=True, kw_only=True)
class Ones(Initializer):
    """All 1."""

    name = "ones"

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator, fans: Fans) -> np.ndarray:
        """See `Initializer`."""
        return np.ones(shape)


@dataclass(frozen=True)
class Constant(Initializer):
    """All `value`: a number, or nested lists of numbers that broadcast to the shape."""

    value: Any = 0.0
    name = "constant"

    def check(self, argument: str, value: Any) -> None:
        """See `Initializer`; the value may be an array."""
        if argument == "value":
            gc.constant(value, "float64")
        else:
            super().check(argument, value)

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator, fans: Fans) -> np.ndarray:
        """See `Initializer`."""
        value = np.asarray(self.value, np.float64)
        try:
            return np.broadcast_to(value, shape)
        except ValueError:
            raise gc.ShapeError(
                f"constant: a value of shape {value.shape} does not broadcast to {shape}", location=gc.location.here()
            ) from None

    def config(self) -> dict[str, Any]:
        """Name and arguments as plain data."""
        return {"name": self.name, "value": np.asarray(self.value).tolist(), "seed": self.seed}


@dataclass(frozen=True)
class Normal(Initializer):
    """The normal distribution."""

    mean: float = 0.0
    std: float = 0.05
    name = "normal"

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator, fans: Fans) -> np.ndarray:
        """See `Initializer`."""
        return generator.normal(self.mean, self.std, shape)


@dataclass(frozen=True)
class TruncatedNormal(Initializer):
    """The normal distribution, in which what lies beyond two standard deviations is drawn again."""

    mean: float = 0.0
    std: float = 0.05
    name = "truncated_normal"

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator, fans: Fans) -> np.ndarray:
        """See `Initializer`."""
        return self.mean + self.std * _truncated(shape, generator)


@dataclass(frozen=True)
class Uniform(Initializer):
    """Evenly from low <= u < high."""

    low: float = -0.05
    high: float = 0.05
    name = "uniform"

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator, fans: Fans) -> np.ndarray:
        """See `Initializer`."""
        return generator.uniform(self.low, self.high, shape)


@dataclass(frozen=True, kw_only=True)
class Scaled(Initializer):
    """Variance `gain / fan`, drawn evenly or from the normal distribution cut off at two deviations."""

    gain: ClassVar[float] = 1.0
    uniform: ClassVar[bool] = True

    @staticmethod
    def fan(fan_in: int, fan_out: int) -> float:
        """The fan that counts."""
        return fan_in

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator, fans: Fans) -> np.ndarray:
        """See `Initializer`."""
        variance = self.gain / max(1.0, self.fan(*fans))
        if self.uniform:
            limit = math.sqrt(3.0 * variance)  # of the even distribution with that variance
            return generator.uniform(-limit, limit, shape)
        return math.sqrt(variance) / _TRUNCATED_DEVIATION * _truncated(shape, generator)


class GlorotUniform(Scaled):
    """Variance 2 / (fan in + fan out), evenly.

    X. Glorot, Y. Bengio: Understanding the Difficulty of Training Deep Feedforward Neural Networks, 2010.
    """

    name = "glorot_uniform"

    @staticmethod
    def fan(fan_in: int, fan_out: int) -> float:
        """Their mean."""
        return (fan_in + fan_out) / 2


class GlorotNormal(GlorotUniform):
    """Variance 2 / (fan in + fan out), normal."""

    name = "glorot_normal"
    uniform = False


class HeUniform(Scaled):
    """Variance 2 / fan in, evenly; for layers followed by relu.

    K. He, X. Zhang, S. Ren, J. Sun: Delving Deep into Rectifiers, 2015.
    """

    name = "he_uniform"
    gain = 2.0


class HeNormal(HeUniform):
    """Variance 2 / fan in, normal."""

    name = "he_normal"
    uniform = False


class LeCunUniform(Scaled):
    """Variance 1 / fan in, evenly.

    Y. LeCun, L. Bottou, G. Orr, K. Müller: Efficient BackProp, 1998.
    """

    name = "lecun_uniform"


class LeCunNormal(LeCunUniform):
    """Variance 1 / fan in, normal."""

    name = "lecun_normal"
    uniform = False


@dataclass(frozen=True)
class Orthogonal(Initializer):
    """A matrix with orthonormal rows or columns, whichever are fewer, times `gain`; rows are along axis 0.

    A. Saxe, J. McClelland, S. Ganguli: Exact Solutions to the Nonlinear Dynamics of Learning in Deep Linear
    Neural Networks, 2014. Drawn evenly, by the QR decomposition of a normal matrix with the signs of R's
    diagonal (F. Mezzadri: How to Generate Random Matrices from the Classical Compact Groups, 2007).
    """

    gain: float = 1.0
    name = "orthogonal"

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator, fans: Fans) -> np.ndarray:
        """See `Initializer`."""
        if len(shape) < 2:
            message = f"orthogonal: takes a shape of rank 2 or more, not {shape}"
            raise gc.ShapeError(message, location=gc.location.here())
        rows, columns = shape[0], math.prod(shape[1:])
        q, r = np.linalg.qr(generator.normal(size=(max(rows, columns), min(rows, columns))))
        q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
        return self.gain * (q if rows >= columns else q.T).reshape(shape)


def _truncated(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    value = generator.normal(size=shape)
    while (outside := np.abs(value) > 2.0).any():
        value[outside] = generator.normal(size=np.count_nonzero(outside))
    return value


_ALL: tuple[type[Initializer], ...] = (
    Zeros, Ones, Constant, Normal, TruncatedNormal, Uniform, GlorotUniform, GlorotNormal, HeUniform, HeNormal,
    LeCunUniform, LeCunNormal, Orthogonal,
)  # fmt: skip
for _class in _ALL:
    if "__init__" in vars(_class):  # `dataclass` writes it after `Checked` has looked for it
        setattr(_class, "__init__", gc.arguments.checked(vars(_class)["__init__"]))  # noqa: B010
#: Name -> initialiser; what `get` chooses from.
INITIALIZERS: dict[str, Callable[..., Initializer]] = {cls.name: cls for cls in _ALL}


def get(initializer: str | Mapping[str, Any] | Initializer) -> Initializer:
    """The initialiser of that name, with default arguments; or of that config; an initialiser is itself.

    Raises:
        ArgumentError: there is none of that name, or it has no such argument.

    >>> get("he_normal"), get({"name": "normal", "std": 0.1})
    (HeNormal(seed=None), Normal(seed=None, mean=0.0, std=0.1))
    """
    if isinstance(initializer, Initializer):
        return initializer
    arguments = dict(initializer) if isinstance(initializer, Mapping) else {"name": initializer}
    make = gc.arguments.choose("initializer", INITIALIZERS, arguments.pop("name", None))
    known = [f.name for f in dataclasses.fields(make)]  # type: ignore[arg-type]
    for name in arguments:
        gc.arguments.choose(f"argument of {make.name}", dict.fromkeys(known, True), name)  # type: ignore[attr-defined]
    return make(**arguments)


__all__ = [
    "INITIALIZERS",
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "LeCunNormal",
    "LeCunUniform",
    "Normal",
    "Ones",
    "Orthogonal",
    "TruncatedNormal",
    "Uniform",
    "Zeros",
    "get",
]
