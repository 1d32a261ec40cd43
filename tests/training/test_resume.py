"""A run that was killed and resumed ends, to the bit, as one that never stopped; Ctrl-C ends a run cleanly."""

import contextlib
import os
import signal
import time

import numpy as np
import pytest

import graphc as gc
from graphc.training import Checkpoint, CSVLog, EarlyStopping, LambdaCallback, LearningRateSchedule


class Killed(Exception):
    """Stands for the end of the process."""


def kill_after(steps):
    count = [0]

    def hook(batch, logs):
        count[0] += 1
        if count[0] == steps:
            raise Killed

    return LambdaCallback(on_batch_end=hook)


@pytest.fixture
def make(backend):
    """A net with everything that has a state: dropout, batch norm, an optimiser with moments, metrics."""

    def build():
        gc.nn.reset_names()
        layers = [gc.nn.Dense(8, "relu"), gc.nn.Dropout(0.3), gc.nn.BatchNorm(), gc.nn.Dense(1, "sigmoid")]
        model = gc.Sequential(layers, name="net")
        model.compile("adam", loss="binary_crossentropy", metrics=["accuracy"], backend=backend)
        return model

    return build


def callbacks(folder, **options):
    return [
        EarlyStopping("val_loss", patience=50, restore_best_weights=True),
        LearningRateSchedule(lambda epoch, rate: rate * 0.9),
        CSVLog(os.path.join(folder, "log.csv")),
        Checkpoint(os.path.join(folder, "run"), **options),
    ]


@pytest.mark.parametrize(
    ("steps", "options"),
    [
        (40, {"every_epochs": 1}),
        (37, {"every_epochs": None, "every_steps": 5}),
        (15, {"every_epochs": None, "every_steps": 15}),  # the last step of an epoch
        (3, {"every_epochs": 1}),  # before the first checkpoint
    ],
)
def test_a_resumed_run_equals_the_uninterrupted_one(cancer, make, same_bits, tmp_path, steps, options):
    x, y = cancer
    settings = {"epochs": 5, "validation_split": 0.2, "verbose": 0}
    whole = make()
    os.makedirs(tmp_path / "whole")
    expected = whole.fit(x, y, callbacks=callbacks(tmp_path / "whole", **options), **settings)
    killed = make()
    with pytest.raises(Killed):
        killed.fit(x, y, callbacks=[*callbacks(tmp_path, **options), kill_after(steps)], **settings)
    resumed = make()
    history = resumed.fit(x, y, callbacks=callbacks(tmp_path, **options), resume_from=tmp_path / "run", **settings)
    same_bits(whole, resumed)
    assert history == expected and list(history) == list(expected) and history.epoch == expected.epoch
    for name, variable in whole.optimizer.state.items():
        assert (variable.value == resumed.optimizer.state[name].value).all(), name
    assert (tmp_path / "log.csv").read_text() == (tmp_path / "whole" / "log.csv").read_text()


def test_the_best_weights_and_the_patience_survive(cancer, make, same_bits, tmp_path):
    x, y = cancer

    def hooks(folder):
        script = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(val_x=abs(epoch - 1)))
        return [script, EarlyStopping("val_x", patience=2, restore_best_weights=True), Checkpoint(folder)]

    whole, killed, resumed = make(), make(), make()
    expected = whole.fit(x, y, epochs=9, callbacks=hooks(tmp_path / "whole"), verbose=0)
    assert expected.epoch == [0, 1, 2, 3, 4]
    with pytest.raises(Killed):
        killed.fit(x, y, epochs=9, callbacks=[*hooks(tmp_path / "run"), kill_after(3 * 18 + 5)], verbose=0)
    history = resumed.fit(x, y, epochs=9, callbacks=hooks(tmp_path / "run"), resume_from=tmp_path / "run", verbose=0)
    assert history == expected and history.epoch == expected.epoch and history.stopped == expected.stopped
    same_bits(whole, resumed)


def test_a_complete_run_has_nothing_to_resume(cancer, make, same_bits, tmp_path):
    x, y = cancer
    first, again = make(), make()
    expected = first.fit(x, y, epochs=2, callbacks=[Checkpoint(tmp_path)], verbose=0)
    assert again.fit(x, y, epochs=2, resume_from=tmp_path, verbose=0) == expected
    same_bits(first, again)


def test_a_resumed_dataset(cancer, make, same_bits, tmp_path):
    x, y = cancer

    def data():
        return gc.data.from_arrays(x, y).shuffle(3).batch(32).prefetch(2)

    whole, killed, resumed = make(), make(), make()
    whole.fit(data(), epochs=3, verbose=0)
    with pytest.raises(Killed):
        killed.fit(data(), epochs=3, callbacks=[Checkpoint(tmp_path, every_steps=7), kill_after(30)], verbose=0)
    resumed.fit(data(), epochs=3, resume_from=tmp_path, verbose=0)
    same_bits(whole, resumed)


def test_a_generator_cannot_be_checkpointed(cancer, make, tmp_path):
    x, y = cancer
    with pytest.raises(gc.ArgumentError, match="a generator's position cannot be kept"):
        make().fit(iter([(x, y)]), callbacks=[Checkpoint(tmp_path)], verbose=0)


def test_another_model_cannot_be_resumed(cancer, make, tmp_path, backend):
    x, y = cancer
    make().fit(x, y, callbacks=[Checkpoint(tmp_path)], verbose=0)
    other = gc.Sequential([gc.nn.Dense(3, "relu"), gc.nn.Dense(1, "sigmoid")])
    other.compile("sgd", loss="mse", backend=backend)
    with pytest.raises(gc.ModelFileError):
        other.fit(x, y, resume_from=tmp_path, verbose=0)


def train_or_resume(folder, epochs):
    """What a process does that may be killed: begin, or go on where the last one was."""
    gc.nn.reset_names()
    x = np.random.default_rng(0).normal(size=(150, 4))
    model = gc.Sequential([gc.nn.Dense(8, "relu"), gc.nn.Dropout(0.2), gc.nn.Dense(3, "softmax")])
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"], backend="numpy")
    checkpoint = Checkpoint(folder, every_steps=2)
    history = model.fit(
        x, np.argmax(x, axis=1) % 3, epochs=epochs, resume_from=folder, callbacks=[checkpoint], verbose=0
    )
    gc.io.save_weights(os.path.join(folder, "end.safetensors"), {**model.variables, **model.optimizer.state})
    return history


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize(("kills", "epochs"), [(10, 15), pytest.param(200, 150, marks=pytest.mark.slow)])
def test_kill_minus_nine_at_random_moments(tmp_path, kills, epochs):
    rng = np.random.default_rng(kills)
    whole, killed = str(tmp_path / "whole"), str(tmp_path / "killed")
    start = time.perf_counter()
    expected = train_or_resume(whole, epochs)
    pause = (time.perf_counter() - start) / kills  # so that the run lasts for about so many kills, on any machine
    done, ended = 0, False
    while not ended:
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                train_or_resume(killed, epochs)
                os._exit(0)
            os._exit(1)
        if done < kills:
            time.sleep(pause * rng.uniform(0.5, 1.5))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        done += os.WIFSIGNALED(status)
        ended = os.WIFEXITED(status)
        assert not ended or os.WEXITSTATUS(status) == 0
    assert done >= kills / 4
    weights = [gc.io.read_weights(os.path.join(folder, "end.safetensors")) for folder in (whole, killed)]
    assert weights[0].keys() == weights[1].keys()
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])
    assert train_or_resume(killed, epochs) == expected


def interrupt_at(epoch, batch):
    def hook(number, logs):
        if callback.run.epoch == epoch and number == batch:
            raise KeyboardInterrupt

    callback = LambdaCallback(on_batch_end=hook)
    return callback


def test_ctrl_c_ends_cleanly_with_the_present_weights(cancer, classifier, capsys):
    x, y = cancer
    ended = []
    model = classifier()
    watch = LambdaCallback(on_train_end=lambda: ended.append(model.get_weights()))
    history = model.fit(x, y, epochs=5, callbacks=[interrupt_at(2, 3), watch], verbose=2)
    assert history.interrupted and history.epoch == [0, 1] and len(ended) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "interrupted in epoch 3, after step 4"
    assert model.fit(x, y, verbose=0).epoch == [0]


def test_ctrl_c_ends_with_the_best_weights_where_they_are_tracked(cancer, classifier):
    x, y = cancer
    model, kept = classifier(), []
    keep = LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(model.get_weights()))
    best = EarlyStopping("loss", patience=9, restore_best_weights=True)
    history = model.fit(x, y, epochs=5, callbacks=[keep, best, interrupt_at(2, 3)], verbose=0)
    assert history.interrupted
    assert all((value == kept[1][name]).all() for name, value in model.get_weights().items())


@pytest.mark.skipif(not hasattr(signal, "raise_signal"), reason="no signals")
def test_a_real_signal(cancer, classifier):
    x, y = cancer
    raising = LambdaCallback(on_epoch_begin=lambda epoch: signal.raise_signal(signal.SIGINT) if epoch == 1 else None)
    # What is started in the background of a shell ignores the signal, so Python has not set its handler.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        history = classifier().fit(x, y, epochs=3, callbacks=[raising], verbose=0)
    finally:
        signal.signal(signal.SIGINT, before)
    assert history.interrupted and history.epoch == [0] and np.isfinite(history["loss"][0])
