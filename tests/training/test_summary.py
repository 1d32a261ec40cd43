"""The table of a model's layers."""

import graphc as gc

SEQUENTIAL = """\
Sequential 'net'
layer   type       output shape  parameters
hidden  Dense      (batch, 8)            40
norm    BatchNorm  (batch, 8)            32
drop    Dropout    (batch, 8)             0
out     Dense      (batch, 3)            27
99 parameters: 83 trained, 16 not trained"""

FUNCTIONAL = """\
Model 'pair'
layer  type        output shape  parameters  inputs
twin   Sequential  (batch, 2)            10  a
twin   Sequential  (batch, 2)        shared  b
out    Dense       (batch, 1)             5  twin
15 parameters: 15 trained, 0 not trained"""


def test_sequential(capsys):
    layers = [gc.nn.Dense(8, "relu", name="hidden"), gc.nn.BatchNorm(name="norm"), gc.nn.Dropout(0.1, name="drop")]
    model = gc.Sequential([gc.nn.Input((4,)), *layers, gc.nn.Dense(3, name="out")], name="net")
    summary = model.summary()
    assert capsys.readouterr().out == SEQUENTIAL + "\n"
    assert str(summary) == SEQUENTIAL and (summary.trainable, summary.not_trainable) == (83, 16)
    assert repr(summary) == "<Summary of Sequential 'net': 4 layers, 99 parameters>"


def test_functional():
    a, b = gc.nn.Input((4,), name="a"), gc.nn.Input((4,), name="b")
    twin = gc.Sequential([gc.nn.Dense(2, name="d")], name="twin")
    model = gc.Model([a, b], gc.nn.Dense(1, name="out")(gc.concat([twin(a), twin(b)], axis=-1)), name="pair")
    assert str(model.summary(show=False)) == FUNCTIONAL


def test_a_model_that_was_built_by_data():
    model = gc.Sequential([gc.nn.Dense(2, name="d")], name="net")
    model.predict([[1.0, 2.0, 3.0]])
    assert model.summary(show=False).trainable == 8


def test_several_results_and_symbolic_sizes():
    x = gc.nn.Input((None, 2), name="x")
    sequence, *_ = gc.nn.LSTM(3, return_sequences=True, return_state=True, name="lstm")(x)
    model = gc.Model(x, sequence, name="m")
    assert "lstm   LSTM  (batch, x_1'" in str(model.summary(show=False))
