"""What `Sequential` and `Model` share: fit, evaluate, predict, save; and what `compiled.py` says.

Invariant: `predict` gives the same bits as the function that `save` writes.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

import graphc as gc
from graphc.training.callbacks.base import Callback
from graphc.training.compiled import Compiled
from graphc.training.evaluation import evaluated, predicted
from graphc.training.history import History
from graphc.training.run import Run
from graphc.training.starting import Request, started
from graphc.training.streams import read_examples
from graphc.training.summary import Summary
from graphc.training.weights import ClassWeight


class Trainable(Compiled):
    """A layer that can be compiled, trained, evaluated and saved; see `Sequential` and `Model`."""

    # running --------------------------------------------------------------------------------------------------

    @gc.arguments.checked
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
        augment: Callable[..., Any] | None = None,
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
            augment: a `gc.data.Augmentation`, which changes each training batch, anew in each epoch, after the
                preprocessing.
            verbose: 0 nothing; 1 a bar in a terminal, else as 2; 2 a line for each epoch; n > 2 for each n-th.

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
            augment=augment, verbose=verbose,
        )  # fmt: skip
        self._require_compiled("fit")
        run: Run = started(self, request)
        return run.finish()

    @gc.arguments.checked
    def evaluate(
        self,
        x: Any,
        y: Any = None,
        *,
        batch_size: int = 256,
        sample_weight: Any = None,
        class_weight: ClassWeight = None,
        metrics: Any = None,
    ) -> dict[str, float]:
        """The losses and metrics on examples that the model is not trained on; dropout and the like are off.

        Args:
            x, y, sample_weight, class_weight: as for `fit`.
            batch_size: examples in each call.
            metrics: further ones, as for `compile`.

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
        return evaluated(self, "evaluate", x, y, sample_weight, class_weight, batch_size, metrics)

    @gc.arguments.checked
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

    @gc.arguments.checked
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
        steps = self.prepared("train_on_batch", x)
        examples = read_examples("train_on_batch", self, steps, x, y, sample_weight, class_weight)
        scores = steps.batch_scores
        scores.reset()
        scores.add(examples.arrays, steps.train(examples.labels)(*examples.arrays))
        return scores.result()

    def compare(self, x: Any, y: Any, *, sample_weight: Any = None) -> gc.Comparison:
        """`gc.compare` of the training step on these examples: does the machine code compute what the interpreter does?

        No variable is changed.

        Raises:
            GraphError, ShapeError, DTypeError, FeedError, ArgumentError: as `fit`.
        """
        steps = self.prepared("compare", x)
        examples = read_examples("compare", self, steps, x, y, sample_weight)
        return gc.compare(steps.train(examples.labels), *examples.arrays)

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

    def save(self, path: str | os.PathLike[str], *, metadata: Mapping[str, Any] | None = None) -> None:
        """Write the model, with its weights and preprocessing, so that `gc.load(path).predict(x)` gives the same bits.

        Args:
            path: a folder, or a file that ends in `.gcm`.
            metadata: JSON data by name, to be found in `gc.load(path).metadata`, such as the names of classes.

        Raises:
            GraphError: the model has not seen its inputs yet.
            ArgumentError: the metadata is no JSON data, or names "model", "name" or "outputs", which are there anyway.
        """
        parts = self.saved_parts()
        for name in metadata or {}:
            if name in parts.metadata:
                raise gc.ArgumentError(f"save: the name {name!r} in metadata is taken", hint="choose another")
        gc.io.save(path, dataclasses.replace(parts, metadata={**parts.metadata, **(metadata or {})}))

    def saved_parts(self) -> gc.io.Parts:
        """What `gc.save` writes: the function "predict", the variables, the preprocessing, and names.

        Raises:
            GraphError: the model has not seen its inputs yet.
        """
        return gc.io.Parts(
            functions={"predict": self.predict_function()},
            variables=self.variables,
            preprocessing=list(self.preprocessing),
            target_preprocessing=list(self.target_preprocessing),
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
