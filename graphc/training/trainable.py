"""What `Sequential` and `Model` share: compile, fit, evaluate, predict, save.

Invariant: nothing is compiled before it is needed, and then once for all batch sizes; `predict` gives the same bits as
the function that `save` writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

import graphc as gc
from graphc.training.arrays import flat
from graphc.training.callbacks.base import Callback
from graphc.training.evaluation import evaluated, predicted
from graphc.training.history import History
from graphc.training.objective import Objective
from graphc.training.run import Run
from graphc.training.scores import Scores
from graphc.training.starting import Request, started
from graphc.training.steps import Steps
from graphc.training.streams import read_examples
from graphc.training.summary import Row, Summary
from graphc.training.weights import ClassWeight


class Trainable(gc.nn.Layer):
    """A layer that can be compiled, trained, evaluated and saved; see `Sequential` and `Model`.

    Attributes:
        optimizer: that of `compile`.
        preprocessing: transformers of `gc.data` that x goes through before the model sees it.
    """

    def __init__(self, *, name: str | None = None, dtype: Any = None, trainable: bool = True) -> None:
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.optimizer: Any = None
        self.preprocessing: list[Any] = []
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

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = None,
        metrics: Any = None,
        *,
        loss_weights: Any = None,
        backend: str | None = None,
        preprocessing: Iterable[Any] | None = None,
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

    def prepared(self, function: str, arrays: Sequence[np.ndarray] | None) -> Steps:
        """The compiled functions; the arrays are raw inputs, for a model that does not know its inputs yet."""
        objective = self._require_compiled(function)
        if self._steps is None:
            self._steps = Steps(self, objective, self.optimizer, self._backend, self.placeholders(arrays))
        return self._steps

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

    # running --------------------------------------------------------------------------------------------------

    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int = 1,
        batch_size: int = 32,
        validation_data: Any = None,
        validation_split: float | None = None,
        callbacks: Iterable[Callback] = (),
        class_weight: ClassWeight = None,
        sample_weight: Any = None,
        shuffle: bool = True,
        seed: int = 0,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        resume_from: str | os.PathLike[str] | None = None,
        epoch_in_one_call: bool = False,
        verbose: int = 1,
    ) -> History:
        """Train on examples, epoch by epoch.

        Args:
            x: examples along the first axis: an array, or a list or dict of arrays for several inputs. Or a stream
                of batches (x, y) or (x, y, weights): a `gc.data.Dataset`, a generator function, or a generator.
            y: labels; for several outputs a list or dict. None where x is a stream.
            epochs: the number of epochs when the training is complete, earlier ones included.
            batch_size: examples in each step; the last step of an epoch has what is left.
            validation_data: (x, y), (x, y, weights) or a stream, on which the model is evaluated after each epoch.
            validation_split: the fraction of the examples, from the end, to keep for validation instead.
            callbacks: what to call at epochs and steps; see `gc.training`.
            class_weight: the factor of each class in the loss, or "balanced".
            sample_weight: the factor of each example in the loss.
            shuffle: whether examples come in a new order in each epoch. A stream keeps its own order and batches.
            seed: what the orders follow from, together with the number of the epoch.
            initial_epoch: the number of the first epoch.
            steps_per_epoch: how many batches of a stream make an epoch.
            resume_from: a folder of checkpoints that the callback `Checkpoint` wrote. The run goes on where the
                newest was written, and ends as if it had never stopped; an empty or missing folder begins anew.
            epoch_in_one_call: run all whole batches of an epoch in one native call, without Python in between. The
                results are the same to the bit; callbacks hear of epochs only.
            verbose: 0 nothing; 1 a bar in a terminal, else as 2; 2 a line for each epoch.

        Returns:
            The history: a dict of one figure for each epoch by name.

        Raises:
            GraphError: the model is not compiled.
            ShapeError, DTypeError, FeedError: the data does not fit the model.
            ArgumentError: an argument is outside its range, or there is no data.
            CheckError: the loss is NaN.

        >>> import numpy as np
        >>> import graphc as gc
        >>> model = gc.Sequential([gc.nn.Dense(1, name="line")])
        >>> model.compile(gc.optim.SGD(0.3), loss="mse")
        >>> x = np.linspace(-1, 1, 64)[:, None]
        >>> history = model.fit(x, 2 * x + 1, epochs=20, verbose=0)
        >>> history["loss"][-1] < 1e-3, model.step.compilations
        (True, 1)
        """
        request = Request(
            x=x, y=y, epochs=epochs, batch_size=batch_size, validation_data=validation_data,
            validation_split=validation_split, callbacks=tuple(callbacks), class_weight=class_weight,
            sample_weight=sample_weight, shuffle=shuffle, seed=seed, initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch, resume_from=resume_from, epoch_in_one_call=epoch_in_one_call,
            verbose=verbose,
        )  # fmt: skip
        self._require_compiled("fit")
        run: Run = started(self, request)
        return run.finish()

    def evaluate(
        self,
        x: Any,
        y: Any = None,
        *,
        batch_size: int = 256,
        sample_weight: Any = None,
        class_weight: ClassWeight = None,
    ) -> dict[str, float]:
        """The losses and metrics on examples that the model is not trained on; dropout and the like are off.

        Args:
            x, y, sample_weight, class_weight: as for `fit`.
            batch_size: examples in each call.

        Raises:
            GraphError, ShapeError, DTypeError, FeedError, ArgumentError: as `fit`.

        >>> import numpy as np
        >>> import graphc as gc
        >>> model = gc.Sequential([gc.nn.Dense(1, weight_init="zeros")])
        >>> model.compile(loss="mse")
        >>> model.evaluate(np.ones((4, 2)), np.ones(4))
        {'loss': 1.0}
        """
        self._require_compiled("evaluate")
        return evaluated(self, "evaluate", x, y, sample_weight, class_weight, batch_size)

    def predict(self, x: Any, *, batch_size: int | None = None) -> Any:
        """The outputs for examples: an array, or a list or dict of them as the model has its outputs.

        Args:
            x: as for `fit`, a stream included, whose labels are passed over. The model need not be compiled.
            batch_size: how many examples to run at a time, where memory is short; by default all.

        Raises:
            ShapeError, DTypeError, FeedError: x does not fit the model.

        >>> import numpy as np
        >>> import graphc as gc
        >>> model = gc.Sequential([gc.nn.Dense(2, weight_init="ones")])
        >>> model.predict(np.ones((3, 4))).tolist()
        [[4.0, 4.0], [4.0, 4.0], [4.0, 4.0]]
        """
        return predicted(self, x, batch_size)

    def predict_function(self, arrays: Sequence[np.ndarray] | None = None) -> gc.Function:
        """The compiled function from the model's inputs to its outputs in inference.

        Args:
            arrays: inputs, for a model that does not know its own yet.

        Raises:
            GraphError: the model does not know its inputs, and there are no arrays.
        """
        if self.compiled:
            return self.prepared("predict", arrays).predict
        if self._prediction is None:
            inputs = self.placeholders(arrays)
            with gc.nn.inference() as carried:
                outputs = self.apply(inputs)
            name = f"{self.name}_predict".replace(".", "_")
            self._prediction = gc.function(inputs, self.structured(outputs), updates=carried, name=name)
        return self._prediction

    def train_on_batch(
        self, x: Any, y: Any, *, sample_weight: Any = None, class_weight: ClassWeight = None
    ) -> dict[str, float]:
        """One training step on these examples; returns its losses and metrics.

        Raises:
            GraphError, ShapeError, DTypeError, FeedError, ArgumentError: as `fit`.

        >>> import numpy as np
        >>> import graphc as gc
        >>> model = gc.Sequential([gc.nn.Dense(1, weight_init="zeros")])
        >>> model.compile("sgd", loss="mse")
        >>> model.train_on_batch(np.ones((4, 2)), np.ones(4))
        {'loss': 1.0}
        """
        self._require_compiled("train_on_batch")
        steps = self.prepared("train_on_batch", self.preprocessed(x))
        examples = read_examples("train_on_batch", self, steps, x, y, sample_weight, class_weight)
        scores = Scores(steps.objective, len(steps.inputs))
        scores.add(examples.arrays, steps.train(examples.labels)(*examples.arrays))
        return scores.result()

    def compare(self, x: Any, y: Any, *, sample_weight: Any = None) -> gc.Comparison:
        """`gc.compare` of the training step on these examples: does the machine code compute what the interpreter does?

        No variable is changed.

        Raises:
            GraphError, ShapeError, DTypeError, FeedError, ArgumentError: as `fit`.
        """
        steps = self.prepared("compare", self.preprocessed(x))
        examples = read_examples("compare", self, steps, x, y, sample_weight)
        return gc.compare(steps.train(examples.labels), *examples.arrays)

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

    # weights and files ------------------------------------------------------------------------------------------

    def get_weights(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and state by name; empty before the first call.

        >>> import graphc as gc
        >>> model = gc.Sequential([gc.nn.Input((2,)), gc.nn.Dense(1, name="d")])
        >>> {name: value.shape for name, value in model.get_weights().items()}
        {'d.weight': (2, 1), 'd.bias': (1,)}
        """
        return {name: variable.value for name, variable in self.variables.items()}

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Assign what `get_weights` gave.

        Raises:
            ArgumentError: a name is missing, or there is no such variable; nothing is assigned then.
            ShapeError, DTypeError: a value does not fit its variable.
        """
        variables = self.variables
        for name in weights:
            if name not in variables:
                raise gc.ArgumentError(
                    f"set_weights: {self.name} has no variable {name!r}", hint=gc.errors.nearest(name, variables)
                )
        missing = [name for name in variables if name not in weights]
        if missing:
            raise gc.ArgumentError(f"set_weights: no value is given for {missing[0]!r}")
        for name, variable in variables.items():
            variable.assign(np.asarray(weights[name]))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model, with its weights and preprocessing, so that `gc.load(path).predict(x)` gives the same bits.

        Raises:
            GraphError: the model has not seen its inputs yet.
        """
        gc.io.save(path, self)

    def saved_parts(self) -> gc.io.Parts:
        """What `gc.save` writes: the function "predict", the variables, the preprocessing, and names.

        Raises:
            GraphError: the model has not seen its inputs yet.
        """
        return gc.io.Parts(
            functions={"predict": self.predict_function()},
            variables=self.variables,
            preprocessing=list(self.preprocessing),
            metadata={"model": type(self).__name__, "name": self.name, "outputs": self.output_names},
        )

    def summary(self, show: bool = True) -> Summary:
        """The layers with their output shapes and numbers of parameters.

        Args:
            show: whether to print the table; the result prints as that table, too.

        Raises:
            GraphError: the model has not seen its inputs yet.

        >>> import graphc as gc
        >>> model = gc.Sequential([gc.nn.Input((30,)), gc.nn.Dense(10, name="hidden")], name="net")
        >>> model.summary(show=False).trainable
        310
        """
        summary = Summary.of(self, self.rows(self.placeholders(None)))
        if show:
            summary.show()
        return summary


__all__ = ["Trainable"]
