"""Whole epochs in one call give the bits of the loop over steps."""

import numpy as np
import pytest

import graphc as gc
from graphc.training.epochs import epoch_of


@pytest.fixture
def make(backend):
    def build(metrics=(), **options):
        gc.nn.reset_names()
        layers = [gc.nn.Dense(8, "relu"), gc.nn.Dropout(0.3), gc.nn.BatchNorm(), gc.nn.Dense(1, "sigmoid")]
        model = gc.Sequential(layers, name="net")
        model.compile("adam", loss="binary_crossentropy", metrics=metrics, backend=backend, **options)
        return model

    return build


@pytest.mark.parametrize(
    "options",
    [{}, {"shuffle": False}, {"batch_size": 569}, {"batch_size": 1000}, {"class_weight": "balanced"}],
    ids=str,
)
def test_bits(cancer, make, same_bits, options):
    x, y = cancer
    settings = {"epochs": 3, "validation_split": 0.2, "verbose": 0, **options}
    loop, whole = make(["accuracy"]), make(["accuracy"])
    expected = loop.fit(x, y, **settings)
    history = whole.fit(x, y, epoch_in_one_call=True, **settings)
    assert history == expected
    same_bits(loop, whole)


def test_no_part_of_it_is_interpreted(cancer, make, backend):
    x, y = cancer
    model = make()
    model.fit(x, y, epochs=2, epoch_in_one_call=True, verbose=0)
    epoch = model.steps.latest["epoch"]
    assert epoch.compilations == 1 and (backend == "numpy" or ", 0 of them host steps" in epoch.artifacts["plan"])


def test_callbacks_hear_of_epochs_and_checkpoints_resume(cancer, make, same_bits, tmp_path):
    x, y = cancer
    whole, resumed = make(), make()
    expected = whole.fit(x, y, epochs=4, epoch_in_one_call=True, verbose=0)
    make().fit(x, y, epochs=2, epoch_in_one_call=True, callbacks=[gc.training.Checkpoint(tmp_path)], verbose=0)
    assert resumed.fit(x, y, epochs=4, epoch_in_one_call=True, resume_from=tmp_path, verbose=0) == expected
    same_bits(whole, resumed)


def test_what_it_cannot_do(cancer, make):
    x, y = cancer
    with pytest.raises(gc.ArgumentError, match="TerminateOnNaN listens to on_batch_end"):
        make().fit(x, y, epoch_in_one_call=True, callbacks=[gc.training.TerminateOnNaN()], verbose=0)
    with pytest.raises(gc.ArgumentError, match="epoch_in_one_call needs arrays"):
        make().fit(gc.data.from_arrays(x, y).batch(8), epoch_in_one_call=True, verbose=0)


def test_a_loss_that_is_no_number(make):
    with pytest.raises(gc.CheckError, match="the loss is nan in epoch 1, step 1"):
        make().fit(np.full((64, 3), np.nan), np.ones(64), epoch_in_one_call=True, verbose=0)


def test_an_epoch_of_no_steps(backend):
    x = gc.placeholder(("n",), "float32", name="x")
    total = gc.variable(np.float32(1.0), name="total")
    step = gc.function([x], [total], updates={total: total + gc.sum(x)}, backend=backend)
    epoch = epoch_of(step)
    (losses,) = epoch(np.zeros((0, 3), "float32"))
    assert losses.shape == (0,) and total.value == 1.0
    assert epoch(np.ones((2, 3), "float32"))[0].tolist() == [1.0, 4.0] and total.value == 7.0


def test_the_epoch_is_compiled_once_for_many_fits(classifier, cancer):
    model = classifier()
    model.fit(*cancer, epochs=1, epoch_in_one_call=True, verbose=0)
    epoch = model.steps.latest["epoch"]
    for batch_size in (32, 16):
        model.fit(*cancer, epochs=2, batch_size=batch_size, epoch_in_one_call=True, verbose=0)
    assert model.steps.latest["epoch"] is epoch
    assert epoch.compilations == 1
