"""From the arguments of `fit` to a `Run` that stands at its first step.

Invariant: everything that can be wrong with the arguments and the data is found here, before any variable changes; and
what is fitted to data (preprocessing) sees the training part alone.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import graphc as gc
from graphc.data.pipeline import as_column
from graphc.training.arrays import as_array, as_target, flat
from graphc.training.callbacks.base import Callback
from graphc.training.evaluation import checked_batch_size, evaluation_stream, scores_on
from graphc.training.progress import progress_for
from graphc.training.run import Run
from graphc.training.steps import Steps
from graphc.training.streams import Stream, is_stream, read_examples, stream_from, stream_of
from graphc.training.weights import ClassWeight
from graphc.training.whole_epochs import whole_epochs

if TYPE_CHECKING:
    from graphc.training.trainable import Trainable


@dataclass(frozen=True)
class Request:
    """The arguments of `Trainable.fit`, where they are described."""

    x: Any
    y: Any
    epochs: int
    batch_size: int
    validation_data: Any
    validation_split: float | None
    callbacks: tuple[Callback, ...]
    class_weight: ClassWeight
    sample_weight: Any
    shuffle: bool
    seed: int
    initial_epoch: int
    steps_per_epoch: int | None
    resume_from: str | os.PathLike[str] | None
    epoch_in_one_call: bool
    augment: Callable[..., Any] | None
    verbose: int

    def check(self) -> None:
        """Refuse arguments outside their range.

        Raises:
            ArgumentError: the first of them.
        """
        for name, value, least in (("epochs", self.epochs, 0), ("initial_epoch", self.initial_epoch, 0)):
            if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
                raise gc.ArgumentError(f"fit: {name} must be a whole number >= {least}, not {value!r}")
        checked_batch_size("fit", self.batch_size)
        if self.validation_split is not None:
            if not isinstance(self.validation_split, float) or not 0.0 < self.validation_split < 1.0:
                raise gc.ArgumentError(
                    f"fit: validation_split must lie between 0 and 1, both excluded, not {self.validation_split!r}"
                )
            if self.validation_data is not None:
                raise gc.ArgumentError("fit: give validation_data or validation_split, not both")
            if is_stream(self.x):
                raise gc.ArgumentError("fit: validation_split needs arrays", hint="pass validation_data")
        if is_stream(self.x):
            for name, given in (("y", self.y), ("sample_weight", self.sample_weight)):
                if given is not None:
                    raise gc.ArgumentError(f"fit: x is a stream, whose batches bring {name}; leave {name} out")
        elif self.steps_per_epoch is not None:
            raise gc.ArgumentError("fit: steps_per_epoch is for streams; arrays have batch_size")
        if self.augment is not None:
            if not callable(self.augment):
                raise gc.ArgumentError(f"fit: augment is a gc.data.Augmentation, not {self.augment!r}")
            if is_stream(self.x):
                raise gc.ArgumentError(
                    "fit: augment needs arrays, x is a stream", hint="x.map(augment, indexed=True) is augmented"
                )
            if self.epoch_in_one_call:
                raise gc.ArgumentError("fit: augment changes each batch, but with epoch_in_one_call there are none")
        if self.epoch_in_one_call and is_stream(self.x):
            raise gc.ArgumentError("fit: epoch_in_one_call needs arrays, x is a stream")
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                made = isinstance(callback, type)
                raise gc.ArgumentError(
                    f"fit: {callback!r} is no callback",
                    hint="make an instance of it" if made else "derive it from gc.training.Callback",
                )
            for hook in ("on_batch_begin", "on_batch_end"):
                if self.epoch_in_one_call and callback.listens(hook):
                    raise gc.ArgumentError(
                        f"fit: {type(callback).__name__} listens to {hook}, "
                        "but there are no separate steps with epoch_in_one_call"
                    )


def started(model: Trainable, request: Request) -> Run:
    """The run, at its first step or where its checkpoint was written."""
    request.check()
    progress = progress_for(request.verbose, int(request.epochs))
    training, validation, whole_epoch = _streams(model, request)
    validate = None if validation is None else functools.partial(_validated, model, validation)
    run = Run(
        model, training, int(request.epochs), int(request.initial_epoch), request.callbacks, progress, validate,
        whole_epoch,
    )  # fmt: skip
    run.begin()
    if request.resume_from is not None:
        position = gc.io.Checkpoints(request.resume_from).restore(run.variables())
        if position is not None:
            run.go_to(position)
    return run


def _validated(model: Trainable, stream: Stream) -> dict[str, float]:
    return {f"val_{name}": value for name, value in scores_on(model, stream).items()}


def _streams(model: Trainable, request: Request) -> tuple[Stream, Stream | None, Callable[[Run], None] | None]:
    """The batches to train on, those to validate on, and what runs a whole epoch, if asked for."""
    if is_stream(request.x):
        for transformer in (*model.preprocessing, *model.target_preprocessing):
            if not is_fitted(transformer):
                raise gc.ArgumentError(
                    f"fit: x is a stream, of which {type(transformer).__name__} cannot learn",
                    hint="fit the transformers before, or pass arrays: fit(x, y)",
                )
        prepared = functools.partial(model.prepared, "fit")
        training = stream_from("fit", model, prepared, request.x, request.class_weight, request.steps_per_epoch)
        return training, _validation_stream(model, request), None
    _fit_preprocessing(model, request)
    steps = model.prepared("fit", request.x)
    _fit_target_preprocessing(model, steps, request)
    examples = read_examples("fit", model, steps, request.x, request.y, request.sample_weight, request.class_weight)
    fixed = steps.fixed_batch
    validation = None
    if request.validation_split is None:
        validation = _validation_stream(model, request)
    else:
        kept = _training_rows(examples.count, request.validation_split)
        held_out = examples.rows(slice(kept, None))
        validation = stream_of(held_out, fixed or _validation_size(request), drop_last=bool(fixed))
        examples = examples.rows(slice(0, kept))
    size = fixed or int(request.batch_size)
    training = stream_of(examples, size, request.shuffle, request.seed, bool(fixed), request.augment)
    whole_epoch = None
    if request.epoch_in_one_call:
        whole_epoch = whole_epochs(steps, examples, size, request.shuffle, request.seed, drop_last=bool(fixed))
    return training, validation, whole_epoch


def _validation_size(request: Request) -> int:
    """Validation needs no small batches."""
    return max(256, int(request.batch_size))


def _training_rows(count: int, split: float) -> int:
    """How many of the rows stay for training."""
    kept = int(count * (1.0 - split))
    if not 0 < kept < count:
        raise gc.ArgumentError(f"fit: validation_split={split} of {count} rows leaves nothing on one side")
    return kept


def _validation_stream(model: Trainable, request: Request) -> Stream | None:
    data = request.validation_data
    if data is None:
        return None
    weights = None
    if is_stream(data):
        x, y = data, None
    elif isinstance(data, (tuple, list)) and len(data) in (2, 3):
        x, y, *rest = data
        weights = rest[0] if rest else None
    else:
        raise gc.ArgumentError("fit: validation_data must be (x, y), (x, y, weights) or a stream of batches")
    what = "fit: validation_data"
    return evaluation_stream(model, what, x, y, weights, None, _validation_size(request))


def _fit_preprocessing(model: Trainable, request: Request) -> None:
    """Fit the transformers that are not fitted yet, on the training rows."""
    if not model.preprocessing:
        return
    x = np.asarray(request.x)
    if request.validation_split is not None and x.ndim:
        x = x[: _training_rows(len(x), request.validation_split)]
    for transformer in model.preprocessing:
        if not is_fitted(transformer):
            transformer.fit(x)
        x = transformer.transform(x)


def _fit_target_preprocessing(model: Trainable, steps: Steps, request: Request) -> None:
    """Fit what the labels go through, and is not fitted yet, on the training rows."""
    if not model.target_preprocessing or request.y is None:
        return
    (name,) = model.output_names
    (y,) = flat("fit: y", "output", request.y, [name])
    labels = as_target(as_array("fit: y", y), steps.trained_predictions[0], np.float64)
    if request.validation_split is not None:
        labels = labels[: _training_rows(len(labels), request.validation_split)]
    for transformer in model.target_preprocessing:
        if not is_fitted(transformer):
            transformer.fit(labels)
        labels = as_column(transformer.transform, labels)


def is_fitted(transformer: Any) -> bool:
    """Whether a transformer was fitted: it has a state, or attributes that end in "_", as scikit-learn's do then.

    >>> import graphc as gc
    >>> scaler = gc.data.StandardScaler()
    >>> is_fitted(scaler), is_fitted(scaler.fit([[1.0], [3.0]]))
    (False, True)
    """
    if isinstance(transformer, gc.data.Transformer):
        try:
            transformer.state()
        except gc.ArgumentError:
            return False
        return True
    return any(name.endswith("_") and not name.startswith("_") for name in vars(transformer))


__all__ = ["Request", "is_fitted", "started"]
