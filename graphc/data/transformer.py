"""`Transformer`: what is learned from training data and then applied to all data; and the registry of those.

Invariant: a transformer is its state: plain data and arrays by name, each checked by the class's `fields`, so that
`from_state(state())` is the same transformer and a state that anybody may have written is refused or harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self, TypeVar

import graphc as gc
from graphc.data.entries import Check


class Transformer(gc.arguments.Checked):
    """Base of the transformers: `fit` learns, `transform` applies, `inverse_transform` undoes where that can be.

    Attributes:
        fields: the names of the options and of what is learned, each with the check of its value in a state.
        learned: those of `fields` that `fit` sets.
    """

    fields: ClassVar[Mapping[str, Check]] = {}
    learned: ClassVar[tuple[str, ...]] = ()

    def fit(self, x: Any) -> Self:
        """Learn from `x`; returns the transformer itself."""
        raise NotImplementedError

    def transform(self, x: Any) -> Any:
        """`x` transformed by what was learned."""
        raise NotImplementedError

    def inverse_transform(self, x: Any) -> Any:
        """What was transformed into `x`.

        Raises:
            ArgumentError: the transformation cannot be undone.
        """
        raise gc.ArgumentError(f"{type(self).__name__}: what it does cannot be undone")

    def fit_transform(self, x: Any) -> Any:
        """`fit(x)`, then `transform(x)`."""
        return self.fit(x).transform(x)

    def state(self) -> dict[str, Any]:
        """Options and what was learned: arrays, numbers, strings, and lists and dicts of them.

        Raises:
            ArgumentError: nothing was learned yet.
        """
        self._require_fitted()
        return {name: getattr(self, name) for name in self.fields}

    @classmethod
    def from_state(cls, state: Any) -> Self:
        """The transformer that `state()` described.

        Raises:
            ArgumentError: it describes none of this class.
        """
        if not isinstance(state, dict) or set(state) != set(cls.fields):
            raise gc.ArgumentError(f"{cls.__name__}: a state has the entries {', '.join(cls.fields)}")
        made = cls.__new__(cls)
        for name, check in cls.fields.items():
            try:
                setattr(made, name, check(state[name]))
            except (ValueError, TypeError, OverflowError, RecursionError) as error:
                raise gc.ArgumentError(f"{cls.__name__}: the entry {name} of its state: {error}") from None
        made._check_state()
        return made

    def _check_state(self) -> None:
        """Raise `ArgumentError` where entries, each right by itself, do not go together."""

    def _require_fitted(self) -> None:
        if any(getattr(self, name, None) is None for name in self.learned):
            raise gc.ArgumentError(f"{type(self).__name__}: nothing was learned yet", hint="call fit first")

    def __repr__(self) -> str:
        options = ", ".join(f"{n}={getattr(self, n, None)!r}" for n in self.fields if n not in self.learned)
        return f"{type(self).__name__}({options})"


_Class = TypeVar("_Class", bound=type[Transformer])
_REGISTRY: dict[str, type[Transformer]] = {}
#: Name of a class of scikit-learn -> what makes the same transformer of an object of it; see `from_sklearn`.
CONVERSIONS: dict[str, Callable[[Any], Transformer]] = {}


def registered(cls: _Class) -> _Class:
    """Decorator of the transformers of this package: those that can be saved and loaded."""
    _REGISTRY[cls.__name__] = cls
    return cls


def saved_transformer(step: Any) -> tuple[str, dict[str, Any]]:
    """The name and the state of a transformer, to be saved; one of scikit-learn is converted first.

    Raises:
        ArgumentError: it is of a kind that cannot be saved without its code, or is not fitted.
    """
    if type(step).__module__.partition(".")[0] == "sklearn":
        step = converted(step)
    if not isinstance(step, Transformer) or _REGISTRY.get(type(step).__name__) is not type(step):
        raise gc.ArgumentError(
            f"a {type(step).__name__} cannot be saved: a file holds data, not code",
            hint=f"the transformers that can be saved are {', '.join(sorted(_REGISTRY))}",
        )
    return type(step).__name__, step.state()


def loaded_transformer(name: str, state: Any) -> Transformer:
    """The transformer of a name and state that `saved_transformer` gave.

    Raises:
        ArgumentError: there is none of that name, or the state is not one of it.
    """
    if name not in _REGISTRY:
        raise gc.ArgumentError(f"there is no transformer named {name[:80]!r}; there are {', '.join(sorted(_REGISTRY))}")
    return _REGISTRY[name].from_state(state)


def converted(step: Any) -> Transformer:
    """The transformer of this package that does what one of scikit-learn does.

    Raises:
        ArgumentError: there is none.
    """
    name = type(step).__name__
    if type(step).__module__.partition(".")[0] != "sklearn" or name not in CONVERSIONS:
        raise gc.ArgumentError(
            f"a {name} has no counterpart in gc.data, so that it cannot be saved without its code",
            hint=f"those that have are {', '.join(sorted(CONVERSIONS))}",
        )
    try:
        return CONVERSIONS[name](step)
    except AttributeError:
        raise gc.ArgumentError(f"{name}: nothing was learned yet", hint="call fit first") from None
