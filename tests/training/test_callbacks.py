"""Each callback does what it says, and nothing where it listens to nothing."""

import csv
import math
import sys

import numpy as np
import pytest

import graphc as gc
from graphc.training import (
    Callback,
    CSVLog,
    EarlyStopping,
    LambdaCallback,
    LearningRateSchedule,
    ReduceOnPlateau,
    SaveBest,
    TensorBoard,
    TerminateOnNaN,
)


class Scripted(Callback):
    """Puts figures of its own in the logs, so that the others have something to watch."""

    def __init__(self, **values):
        self.values = values

    def on_epoch_end(self, epoch, logs):
        logs.update({name: values[epoch] for name, values in self.values.items()})


def test_hooks_come_in_order_with_their_arguments(cancer, classifier):
    x, y = cancer
    seen = []
    hooks = ("train_begin", "epoch_begin", "batch_begin", "batch_end", "epoch_end", "train_end")
    callback = LambdaCallback(**{f"on_{hook}": lambda *a, hook=hook: seen.append((hook, *a)) for hook in hooks})
    classifier().fit(x[:40], y[:40], epochs=2, callbacks=[callback], verbose=0)
    assert [entry[:2] if entry[0] != "train_begin" else entry for entry in seen[:7]] == [
        ("train_begin",), ("epoch_begin", 0), ("batch_begin", 0), ("batch_end", 0), ("batch_begin", 1),
        ("batch_end", 1), ("epoch_end", 0),
    ]  # fmt: skip
    assert seen[-1] == ("train_end",) and seen[7] == ("epoch_begin", 1)
    assert seen[3][2].keys() == {"loss"} and seen[6][2].keys() == {"loss"}


def test_a_callback_that_overrides_nothing_is_not_called_at_steps():
    assert not Callback().listens("on_batch_end")
    assert not LambdaCallback(on_epoch_end=print).listens("on_batch_end")
    assert LambdaCallback(on_batch_end=print).listens("on_batch_end")
    assert not gc.training.Checkpoint("run").listens("on_batch_end")


def test_early_stopping_waits_and_restores_the_best_weights(cancer, classifier):
    x, y = cancer
    script = Scripted(val_x=[3.0, 1.0, 2.0, 1.5, 0.5])
    stopping = EarlyStopping("val_x", patience=1, restore_best_weights=True)
    kept = []
    keep = LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(model.get_weights()))
    model = classifier()
    history = model.fit(x, y, epochs=5, callbacks=[script, stopping, keep], verbose=0)
    assert history.epoch == [0, 1, 2, 3] and stopping.best_epoch == 1
    assert history.stopped == "val_x has not improved for 2 epochs; the best was 1"
    assert all((value == kept[1][name]).all() for name, value in model.get_weights().items())


def test_early_stopping_by_a_greater_figure_and_min_delta(cancer, classifier):
    x, y = cancer
    script = Scripted(val_accuracy=[0.5, 0.505, 0.508, 0.6])
    stopping = EarlyStopping("val_accuracy", patience=1, min_delta=0.01)
    history = classifier().fit(x, y, epochs=4, callbacks=[script, stopping], verbose=0)
    assert history.epoch == [0, 1, 2]


def test_a_schedule_sets_the_rate_of_each_epoch(cancer, classifier):
    x, y = cancer
    model = classifier(gc.optim.SGD(1.0))
    history = model.fit(x, y, epochs=3, callbacks=[LearningRateSchedule(lambda epoch: 0.1 / (epoch + 1))], verbose=0)
    assert history["learning_rate"] == pytest.approx([0.1, 0.05, 0.1 / 3])
    history = model.fit(x, y, epochs=2, callbacks=[LearningRateSchedule(lambda epoch, rate: rate / 2)], verbose=0)
    assert history["learning_rate"] == pytest.approx([0.1 / 6, 0.1 / 12])
    assert model.step.compilations == 1


def test_a_rate_that_the_optimiser_computes_cannot_be_set(cancer, classifier):
    x, y = cancer
    model = classifier(gc.optim.SGD(gc.optim.ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)))
    with pytest.raises(gc.ArgumentError, match="the optimiser computes it from a schedule"):
        model.fit(x, y, callbacks=[LearningRateSchedule(lambda epoch: 0.1)], verbose=0)


def test_reduce_on_plateau(cancer, classifier):
    x, y = cancer
    script = Scripted(val_x=[1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    reduce = ReduceOnPlateau("val_x", factor=0.5, patience=2, cooldown=1, min_rate=0.3)
    model = classifier(gc.optim.SGD(1.0))
    history = model.fit(x, y, epochs=6, callbacks=[script, reduce], verbose=0)
    assert history["learning_rate"] == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5]
    assert float(model.optimizer.learning_rate.value) == 0.3


def test_csv_log(cancer, classifier, tmp_path):
    x, y = cancer
    log = CSVLog(tmp_path / "log.csv")
    history = classifier().fit(x, y, epochs=3, callbacks=[log], validation_split=0.2, verbose=0)
    with open(tmp_path / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2]
    assert [float(row["val_loss"]) for row in rows] == history["val_loss"]


def test_tensorboard_writes_curves_that_can_be_read(cancer, classifier, tmp_path):
    pytest.importorskip("tensorboardX")
    x, y = cancer
    classifier().fit(x, y, epochs=2, callbacks=[TensorBoard(tmp_path)], validation_split=0.2, verbose=0)
    for part, tag in (("train", b"loss"), ("train", b"learning_rate"), ("validation", b"loss")):
        (file,) = (tmp_path / part).glob("events*")
        assert tag in file.read_bytes()


def test_tensorboard_without_its_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(gc.ArgumentError, match=r"tensorboardX is not installed\n.*graphc-compiler\[tensorboard\]"):
        TensorBoard("logs")


def exploding(backend):
    gc.nn.reset_names()
    model = gc.Sequential([gc.nn.Dense(1, weight_init="ones")])
    model.compile(gc.optim.SGD(20.0), loss="mse", backend=backend)
    rng = np.random.default_rng(0)
    return model, rng.normal(size=(64, 3)), rng.normal(size=64)


def test_terminate_on_nan_stops_with_a_message(backend):
    model, x, y = exploding(backend)
    history = model.fit(x, y, epochs=100, batch_size=16, callbacks=[TerminateOnNaN()], verbose=0)
    assert history.stopped.startswith("the loss is inf in epoch") and not history.interrupted
    assert len(history.epoch) < 100 and all(map(math.isfinite, history["loss"]))


def test_terminate_on_nan_puts_the_last_good_weights_back(backend):
    model, x, y = exploding(backend)
    guard = TerminateOnNaN(restore_last_good=True, every=2)
    history = model.fit(x, y, epochs=100, batch_size=16, callbacks=[guard], verbose=0)
    assert history.stopped.endswith("the last good weights are restored")
    assert np.isfinite(model.evaluate(x[:16], y[:16])["loss"])


def test_no_checkpoint_of_weights_that_are_no_numbers(backend, tmp_path):
    model, x, y = exploding(backend)
    checkpoint = gc.training.Checkpoint(tmp_path, every_steps=1, keep=1)
    with pytest.raises(gc.CheckError):
        model.fit(x * 1e30, y, epochs=100, batch_size=16, callbacks=[checkpoint], verbose=0)
    model.set_weights({name: np.zeros_like(value) for name, value in model.get_weights().items()})
    kept = checkpoint.files.restore({**model.variables, **model.optimizer.state})
    assert kept is None or "nan" not in str(kept["scores"]["sums"])


def test_evaluating_in_the_midst_of_an_epoch_leaves_its_figures_alone(cancer, classifier):
    x, y = cancer
    left, watched = classifier(metrics=["accuracy"]), classifier(metrics=["accuracy"])
    watch = LambdaCallback(on_batch_end=lambda batch, logs: watched.evaluate(x[:10], y[:10]))
    assert watched.fit(x, y, callbacks=[watch], verbose=0) == left.fit(x, y, verbose=0)


def test_save_best_keeps_the_best_model(cancer, classifier, tmp_path, backend):
    x, y = cancer
    kept = []
    script = Scripted(val_x=[1.0, 0.5, 0.7])
    keep = LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(model.predict(x)))
    model = classifier()
    model.fit(x, y, epochs=3, callbacks=[script, SaveBest(tmp_path / "best.gcm", "val_x"), keep], verbose=0)
    loaded = gc.load(tmp_path / "best.gcm", backend=backend)
    assert (loaded.predict(x) == kept[1]).all()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: EarlyStopping(patience=-1), "patience must be a whole number >= 0"),
        (lambda: EarlyStopping(mode="mim"), "did you mean 'min'"),
        (lambda: EarlyStopping(min_delta=-1.0), "min_delta must not be negative"),
        (lambda: ReduceOnPlateau(factor=1.5), "factor must lie between 0 and 1"),
        (lambda: LearningRateSchedule(0.1), "must be a function of the epoch, not float"),
        (lambda: TerminateOnNaN(every=0), "every must be a whole number >= 1"),
        (lambda: gc.training.Checkpoint("run", every_steps=0), "every_steps must be a whole number >= 1"),
    ],
)
def test_arguments(make, text):
    with pytest.raises(gc.ArgumentError, match=text):
        make()
