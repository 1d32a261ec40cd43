"""A layer that can be compiled: what it is trained for, and the functions that follow from that.

Invariant: nothing is compiled before it is needed, and then once for all batch sizes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

import graphc as gc
from graphc.training.arrays import flat
from graphc.training.objective import Objective
from graphc.training.steps import Steps
from graphc.training.summary import Row


class Compiled(gc.nn.Layer):
    """What models are before they run: layers with inputs, outputs, and an objective; see `Trainable`.

    Attributes:
        optimizer: that of `compile`.
        preprocessing: transformers of `gc.data` that x goes through before the model sees it.
        target_preprocessing: transformers that labels go through, and whose inverse predictions go through.
    """

    def __init__(
        self, *, name: str | None = None, dtype: Any = None, seed: int | None = None, trainable: bool = True
    ) -> None:
        super().__init__(name=name, dtype=dtype, seed=seed, trainable=trainable)
        self.optimizer: Any = None
        self.preprocessing: list[Any] = []
        self.target_preprocessing: list[Any] = []
        self._objective: Objective | None = None
        self._backend: str | None = None
        self._steps: Steps | None = None
        self._prediction: gc.Function | None = None

    # what the two kinds of model say of themselves --------------------------------------------------------------

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs, by which a dict of arrays is read."""
        raise NotImplementedError

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs, by which a dict of labels or losses is read."""
        raise NotImplementedError

    def placeholders(self, arrays: Sequence[np.ndarray] | None) -> list[gc.Tensor]:
        """The model's inputs; where they are not known yet, made to fit the arrays.

        Raises:
            GraphError: they are not known, and there are no arrays.
        """
        raise NotImplementedError

    def apply(self, inputs: Sequence[gc.Tensor]) -> list[gc.Tensor]:
        """The outputs as a flat list."""
        raise NotImplementedError

    def structured(self, predictions: Sequence[Any]) -> Any:
        """Predictions in the form that the model was given its outputs in."""
        raise NotImplementedError

    def rows(self, inputs: Sequence[gc.Tensor]) -> list[Row]:
        """The lines of the summary."""
        raise NotImplementedError

    # compiling ------------------------------------------------------------------------------------------------

    @gc.arguments.checked
    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = None,
        metrics: Any = None,
        *,
        loss_weights: Any = None,
        backend: str | None = None,
        preprocessing: Iterable[Any] | None = None,
        target_preprocessing: Iterable[Any] | None = None,
    ) -> None:
        """Say how to train: what is minimised, by which method, and what else to tell.

        Args:
            optimizer: a name of `gc.optim` or an object of it.
            loss: a name of `gc.nn.losses`, or a function of (labels, predictions) that gives one number, or one for
                each example. For several outputs a list or a dict of them; None for outputs that are not trained.
            metrics: names of `gc.metrics`, or objects; for several outputs a list of lists, or a dict.
            loss_weights: the factors of several losses in their sum: a list, or a dict by output.
            backend: "llvm" (the default) or "numpy".
            preprocessing: transformers that x goes through in `fit`, `evaluate` and `predict`, and that `save`
                writes. Those that are not fitted yet are fitted by `fit`, on the training data alone.
            target_preprocessing: transformers that the labels go through before the loss; what `predict` gives, and
                metrics see, has gone back through them, and so is in the labels' own units.

        Raises:
            ArgumentError: a name that there is not, or not one loss for each output.

        >>> import graphc as gc
        >>> model = gc.Sequential([gc.nn.Dense(1, activation="sigmoid")])
        >>> model.compile("adam", loss="binary_crossentropy", metrics=["accuracy"])
        """
        objective = Objective(self.output_names, loss, loss_weights, metrics)
        if backend not in (None, "llvm", "numpy"):
            raise gc.ArgumentError(
                f"compile: backend is 'llvm' or 'numpy', not {backend!r}",
                hint=gc.errors.nearest(str(backend), ["llvm", "numpy"]),
            )
        self.optimizer = gc.optim.get(optimizer)
        self._objective, self._backend, self._steps, self._prediction = objective, backend, None, None
        if preprocessing is not None:
            self.preprocessing = list(preprocessing)
        if target_preprocessing is not None:
            self.target_preprocessing = list(target_preprocessing)
            if len(self.output_names) != 1:
                raise gc.ArgumentError("compile: target_preprocessing is for models with one output")

    @property
    def compiled(self) -> bool:
        """Whether `compile` was called."""
        return self._objective is not None

    @property
    def target_count(self) -> int:
        """How many outputs need labels."""
        return len(self._require_compiled("fit").trained)

    def _require_compiled(self, function: str) -> Objective:
        if self._objective is None:
            raise gc.GraphError(
                f"{function}: {self.name} is not compiled", hint="call compile(optimizer, loss, metrics) first"
            )
        return self._objective

    @property
    def steps(self) -> Steps:
        """The compiled functions, as far as they were needed.

        Raises:
            GraphError: the model is not compiled, or its inputs are not known yet.
        """
        return self.prepared("steps", None)

    def prepared(self, function: str, x: Any) -> Steps:
        """The compiled functions; x is looked at by a model that does not know its inputs yet."""
        objective = self._require_compiled(function)
        if self._steps is None:
            self._steps = Steps(self, objective, self.optimizer, self._backend, self._placeholders_for(x))
        return self._steps

    def _placeholders_for(self, x: Any) -> list[gc.Tensor]:
        return self.placeholders(None if x is None else self.preprocessed(x))

    @property
    def step(self) -> gc.Function:
        """The training step that `fit` called last: dump it, compare backends, read its plan.

        Raises:
            GraphError: there is none yet.
        """
        found = None if self._steps is None else self._steps.latest.get("train")
        if found is None:
            raise gc.GraphError(f"step: {self.name} was not trained yet", hint="call fit or train_on_batch first")
        return found

    def predict_function(self, x: Any = None) -> gc.Function:
        """The compiled function from the model's inputs to its outputs in inference.

        Args:
            x: examples, as for `predict`, for a model that does not know its inputs yet.

        Raises:
            GraphError: the model does not know its inputs, and there is no x.
        """
        if self.compiled:
            return self.prepared("predict", x).predict
        if self._prediction is None:
            inputs = self._placeholders_for(x)
            with gc.nn.inference() as carried:
                outputs = self.apply(inputs)
            name = f"{self.name}_predict".replace(".", "_")
            self._prediction = gc.function(inputs, self.structured(outputs), updates=carried, name=name)
        return self._prediction

    def preprocessed(self, x: Any) -> list[Any]:
        """The inputs as a flat list, each gone through the transformers of `preprocessing`.

        Raises:
            ArgumentError: another number of inputs; or transformers for several inputs.
        """
        values = flat("x", "input", x, self.input_names)
        if self.preprocessing:
            if len(values) != 1:
                raise gc.ArgumentError(f"preprocessing is for models with one input, this one has {len(values)}")
            for transformer in self.preprocessing:
                values = [transformer.transform(values[0])]
        return values


__all__ = ["Compiled"]
