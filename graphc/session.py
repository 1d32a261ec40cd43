"""`gc.Session`: the TensorFlow 1.x manner over the same core.

Invariant: a session owns no values; variables live in `Variable` objects, and a run is a call of a `Function`
that is compiled once for each combination of fetches and fed tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from graphc.errors import FeedError, GraphError
from graphc.function import Function, function
from graphc.ir.location import here
from graphc.ir.tensor import Tensor
from graphc.structure import Structure, flatten, unflatten


class Session:
    """Runs fetches with fed values; compiled functions are kept and reused.

    Args:
        backend: "llvm" (the default) or "numpy".

    >>> import graphc as gc
    >>> x = gc.placeholder((None,), "float64", name="x")
    >>> y = x * 2.0
    >>> with Session(backend="numpy") as session:
    ...     session.run({"y": y, "sum": gc.sum(y)}, feed_dict={x: [1.0, 2.0]})
    {'y': array([2., 4.]), 'sum': array(6.)}
    """

    def __init__(self, backend: str | None = None) -> None:
        self.backend = backend
        self._functions: dict[tuple[Any, ...], tuple[Function, list[Tensor]]] = {}
        self._open = True

    def run(self, fetches: Structure, feed_dict: Mapping[Tensor, Any] | None = None) -> Any:
        """The values of `fetches`.

        Args:
            fetches: a tensor, or lists, tuples and dicts of them, nested; `gc.assign` tensors store when fetched.
            feed_dict: a value for each placeholder that is needed; any other tensor may be fed in its place too.

        Raises:
            FeedError: a placeholder that is needed has no value, or a key is not a tensor.
            GraphError: the session is closed.
        """
        if not self._open:
            raise GraphError("the session is closed", location=here())
        if not isinstance(feed_dict, Mapping | None):
            raise FeedError(f"feed_dict: expected a dict, not {type(feed_dict).__name__}", location=here())
        feeds = dict(feed_dict or {})
        for key in feeds:
            if not isinstance(key, Tensor):
                raise FeedError(f"feed_dict: a key must be a tensor, not {type(key).__name__}", location=here())
        compiled, order = self._compiled(flatten(fetches, "run"), list(feeds))
        return unflatten(fetches, compiled(*(feeds[t] for t in order)))

    def compiled(self, fetches: Structure, fed: list[Tensor]) -> Function:
        """The function that `run` calls for these fetches and fed tensors; compiled at first use."""
        return self._compiled(flatten(fetches, "run"), fed)[0]

    def _compiled(self, leaves: list[Tensor], fed: list[Tensor]) -> tuple[Function, list[Tensor]]:
        """The function, and the fed tensors in the order of its inputs: that of the dict it was made for."""
        key = (tuple(leaves), frozenset(fed))
        if key not in self._functions:
            self._functions[key] = function(fed, leaves, backend=self.backend, name="run"), fed
        return self._functions[key]

    def close(self) -> None:
        """Drop the compiled functions; further runs raise."""
        self._open = False
        self._functions.clear()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
