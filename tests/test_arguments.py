"""Wrong arguments of constructors and functions are refused in the user's words."""

from __future__ import annotations

import pytest

import graphc as gc


@pytest.mark.parametrize(
    ("make", "message", "hint"),
    [
        (lambda: gc.nn.Conv2D(4, kernel_size=3), "'kernel_size' is no argument of Conv2D", "did you mean 'window'?"),
        (lambda: gc.nn.Conv2DTranspose(4, kernel_size=3), "'kernel_size' is no argument", "did you mean 'window'?"),
        (lambda: gc.nn.MaxPool2D(pool_size=2), "'pool_size' is no argument of MaxPool2D", "did you mean 'window'?"),
        (lambda: gc.nn.Dense(3, kernel_initializer="ones"), "'kernel_initializer' is", "did you mean 'weight_init'?"),
        (lambda: gc.nn.Dense(out_features=3), "'out_features' is no argument of Dense", "did you mean 'units'?"),
        (lambda: gc.nn.Dense(3, activaton="relu"), "'activaton' is no argument of Dense", "did you mean 'activation'?"),
        (lambda: gc.nn.Dense(), "Dense: the argument 'units' is missing", None),
        (lambda: gc.nn.Dense(3, "relu", False), "Dense: takes 2 arguments without a name (units, activation), not 3",
         "give the others by name"),
        (lambda: gc.optim.Adam(lr=0.1), "'lr' is no argument of Adam", "did you mean 'learning_rate'?"),
        (lambda: gc.optim.SGD(0.1, clipnorm=1.0), "'clipnorm' is no argument of SGD", "did you mean 'clip_norm'?"),
        (lambda: gc.optim.CosineDecay(0.1, steps=10), "'steps' is no argument of CosineDecay",
         "did you mean 'decay_steps'?"),
        (lambda: gc.optim.get("adam", lr=0.1), "'lr' is no setting of adam", "did you mean 'learning_rate'?"),
        (lambda: gc.data.StandardScaler(with_std=False), "'with_std' is no argument", "did you mean 'with_deviation'?"),
        (lambda: gc.data.split([1, 2], test_size=0.5), "'test_size' is no argument of split",
         "did you mean 'fractions'?"),
        (lambda: gc.training.EarlyStopping(patiance=3), "'patiance' is no argument", "did you mean 'patience'?"),
        (lambda: gc.nn.initializers.Normal(st=3), "'st' is no argument of Normal", "did you mean 'std'?"),
        (lambda: gc.Sequential([gc.nn.Dense(1)]).compile("adam", "mse", optimiser="adam"),
         "'optimiser' is no argument of compile", "did you mean 'optimizer'?"),
        (lambda: gc.Sequential([gc.nn.Dense(1)]).fit([[1.0]], [1.0], nb_epoch=3), "'nb_epoch' is no argument of fit",
         "did you mean 'epochs'?"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_named_and_what_was_meant_is_suggested(make, message, hint):
    with pytest.raises(gc.ArgumentError) as caught:
        make()
    assert caught.value.message.startswith(message)
    assert caught.value.hint == hint
    assert caught.value.location.file == __file__


def test_a_type_error_of_the_function_itself_passes():
    @gc.arguments.checked
    def add(a, b):
        return a + b

    with pytest.raises(TypeError, match="unsupported operand"):
        add(1, "x")


def test_a_layer_of_the_user_is_checked_too():
    class Scale(gc.nn.Layer):
        def __init__(self, factor, **options):
            super().__init__(**options)
            self.factor = factor

    with pytest.raises(gc.ArgumentError, match="'factr' is no argument of Scale; there are factor, name, dtype"):
        Scale(factr=3)
    assert Scale(3, name="s").config()["factor"] == 3
