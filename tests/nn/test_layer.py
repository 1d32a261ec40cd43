"""The contract of layers: names, parameters, state, configs, freezing, blocks, the record of calls, messages."""

import json
import subprocess
import sys

import numpy as np
import pytest

import graphc as gc
from graphc import nn

LAYERS = [
    (nn.Dense(3, activation="relu", use_bias=False), (4,)),
    (nn.Dense(3, activation=gc.tanh, weight_init=nn.initializers.Normal(std=0.1), dtype="float64", seed=3), (4,)),
    (nn.Conv1D(4, 3, padding="same", groups=2), (2, 9)),
    (nn.Conv2D(4, (3, 2), (2, 1), [[1, 1], [0, 1]], "relu", layout="NHWC"), (9, 8, 2)),
    (nn.Conv3D(4, 2, dilation=2), (2, 5, 5, 5)),
    (nn.Conv1DTranspose(4, 3, 2), (2, 9)),
    (nn.Conv2DTranspose(4, 3, strides=2, padding=1, output_padding=1), (2, 5, 5)),
    (nn.Conv3DTranspose(4, 2), (2, 3, 3, 3)),
    (nn.MaxPool1D(2), (2, 9)),
    (nn.MaxPool2D(3, 2, "SAME"), (2, 9, 9)),
    (nn.MaxPool3D(2), (2, 4, 4, 4)),
    (nn.AvgPool1D(2), (2, 9)),
    (nn.AvgPool2D(3, 1, 1, count_include_pad=True), (2, 9, 9)),
    (nn.AvgPool3D(2), (2, 4, 4, 4)),
    (nn.GlobalMaxPool(), (2, 4, 4)),
    (nn.GlobalAvgPool(layout="NHWC", keepdims=True), (2, 4, 4)),
    (nn.AdaptiveAvgPool(2), (2, 5, 4)),
    (nn.AdaptiveMaxPool([2, 3]), (2, 5, 4)),
    (nn.Upsample((2, 3)), (2, 4, 4)),
    (nn.SimpleRNN(3, return_sequences=True), (5, 2)),
    (nn.LSTM(3, forget_bias=0.5, go_backwards=True), (5, 2)),
    (nn.GRU(3, reset_after=False), (5, 2)),
    (nn.Bidirectional(nn.GRU(3, return_sequences=True), merge="sum"), (5, 2)),
    (nn.Dropout(0.25, shared_axes=[1]), (5, 2)),
    (nn.SpatialDropout(0.5), (2, 4, 4)),
    (nn.BatchNorm(-1, momentum=0.5, scale=False), (5, 2)),
    (nn.LayerNorm([1, 2], epsilon=1e-3), (5, 2)),
    (nn.GroupNorm(2), (4, 5)),
    (nn.InstanceNorm(), (4, 5)),
    (nn.PositionalEmbedding("learned", length=10), (5, 4)),
    (nn.MultiHeadAttention(2, dropout=0.1), (5, 4)),
    (nn.Flatten(), (5, 4)),
    (nn.Reshape((4, -1)), (5, 4)),
    (nn.Permute((2, 1)), (5, 4)),
    (nn.Concatenate(axis=1), (5, 4)),
    (nn.Average(), (5, 4)),
    (nn.Activation("gelu"), (4,)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=[type(layer).__name__ for layer, _ in LAYERS])
def test_a_config_makes_the_same_layer_again(layer, shape):
    """Through JSON, and by the class or by the name of the class; same values, other variables."""
    config = json.loads(json.dumps(layer.config()))
    again = nn.layer_from({"layer": type(layer).__name__, "config": config})
    assert type(again) is type(layer)
    assert again.config() == layer.config()
    x = nn.Input(shape, layer.dtype or "float32")
    y, z = layer(x), again(x)
    assert y.type == z.type
    assert {n: v.type for n, v in layer.variables.items()} == {n: v.type for n, v in again.variables.items()}
    assert all(np.array_equal(v.value, again.variables[n].value) for n, v in layer.variables.items())
    assert not set(layer.variables.values()) & set(again.variables.values())


def test_every_layer_is_in_the_table():
    abstract = {nn.Layer, nn.Recurrent}
    public = {v for v in vars(nn).values() if isinstance(v, type) and issubclass(v, nn.Layer)} - abstract
    assert public - {type(layer) for layer, _ in LAYERS} == {
        nn.Add, nn.Subtract, nn.Multiply, nn.Maximum, nn.Minimum,  # as Average
        nn.Embedding, nn.Lambda,  # below, and in test_embedding
    }  # fmt: skip


def test_names_count_by_type():
    assert [nn.Dense(2).name, nn.Dense(2).name, nn.LSTM(2).name, nn.Dense(2, name="out").name, nn.Dense(2).name] == [
        "dense", "dense_1", "lstm", "out", "dense_2",
    ]  # fmt: skip
    assert nn.Input((2,)).name is None


def test_parameters_are_named_and_counted_and_shared():
    dense = nn.Dense(5, name="head")
    assert (dense.parameters, dense.parameter_count, dense.built) == ({}, 0, False)
    x = nn.Input((3,))
    first, second = dense(x), dense(first_input := nn.Input((3,)))
    assert {n: v.shape for n, v in dense.parameters.items()} == {"head.weight": (3, 5), "head.bias": (5,)}
    assert dense.parameter_count == 20
    assert dense.state == {}
    f = gc.function([x, first_input], [first, second], backend="numpy")
    assert f.dump("input").count("= variable") == 2
    assert "%head.weight = variable : f32[3,5]" in f.dump("input")


def test_another_number_of_features_is_refused_on_the_users_line():
    dense = nn.Dense(5, name="head")
    dense(nn.Input((3,)))
    with pytest.raises(gc.ShapeError, match=r"x is f32\[batch,4\], head.weight is f32\[3,5\]") as caught:
        dense(nn.Input((4,), name="x"))
    assert caught.value.location.file == __file__


def test_a_failed_first_call_leaves_nothing_behind():
    dense = nn.Dense(5)
    with pytest.raises(gc.ShapeError, match="features must be known"):
        dense(gc.placeholder(("a", "b")))
    assert (dense.built, dense.dtype) == (False, None)
    assert dense(nn.Input((3,), "float64")).dtype == "float64"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_dtype_is_that_of_the_first_input_or_the_one_asked_for(dtype):
    x = gc.placeholder((2, 3), dtype)
    assert nn.Dense(2)(x).dtype == dtype
    assert nn.Dense(2, dtype="float64")(x).dtype == "float64"
    assert nn.Dense(2, dtype="float32")(x).dtype == "float32"
    assert nn.Dense(2)(gc.placeholder((2, 3), "int64")).dtype == "float32"
    with pytest.raises(gc.DTypeError, match="dense_4: dtype must be float32 or float64, not int32"):
        nn.Dense(2, dtype="int32")


def test_arrays_are_taken_for_tensors():
    assert nn.Dense(2)(np.ones((4, 3), "float32")).type == gc.placeholder((4, 2)).type
    ones = np.ones((4, 2), "float32")
    y = nn.LSTM(2)(np.ones((4, 5, 3), "float32"), mask=np.ones((4, 5), bool), initial_state=(ones, ones))
    assert y.type == gc.placeholder((4, 2)).type


def test_parameters_follow_from_name_and_seed():
    def weight(**options):
        dense = nn.Dense(4, **options)
        dense(nn.Input((3,)))
        return dense.weight.value

    assert np.array_equal(weight(name="a"), weight(name="a"))
    assert not np.array_equal(weight(name="a"), weight(name="b"))
    assert np.array_equal(weight(name="a", seed=1), weight(name="b", seed=1))
    assert not np.array_equal(weight(seed=1), weight(seed=2))


def test_parameters_are_the_same_in_every_process():
    program = (
        "import graphc as gc\n"
        "lstm = gc.nn.LSTM(3)\n"
        "lstm(gc.nn.Input((5, 2)))\n"
        "print([v.value.tobytes().hex() for v in lstm.parameters.values()])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True,
            env={"PYTHONHASHSEED": seed, "PATH": "", "GRAPHC_CACHE": "off"},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    lstm = nn.LSTM(3)
    lstm(nn.Input((5, 2)))
    assert outputs == {f"{[v.value.tobytes().hex() for v in lstm.parameters.values()]}\n"}


class Tower(nn.Layer):
    """A user's own layer of layers, in an attribute and in a list."""

    def __init__(self, depth, **options):
        super().__init__(**options)
        self.depth = depth
        self.hidden = [nn.Dense(4, name=f"{self.name}.hidden{i}") for i in range(depth)]
        self.norm = nn.BatchNorm(name=f"{self.name}.norm")

    def build(self, x):
        self.gain = self.parameter("gain", (), "ones")

    def call(self, x):
        for layer in self.hidden:
            x = gc.relu(layer(x))
        return self.norm(x) * self.gain


def test_layers_of_layers():
    tower = Tower(2, name="t")
    tower(nn.Input((3,)))
    assert list(tower.parameters) == [
        "t.gain", "t.hidden0.weight", "t.hidden0.bias", "t.hidden1.weight", "t.hidden1.bias",
        "t.norm.weight", "t.norm.bias",
    ]  # fmt: skip
    assert list(tower.state) == ["t.norm.mean", "t.norm.variance"]
    assert list(tower.variables) == [*tower.parameters, *tower.state]
    assert tower.sublayers == (*tower.hidden, tower.norm)
    assert [layer.name for layer in tower.walk()] == ["t", "t.hidden0", "t.hidden1", "t.norm"]
    assert tower.config() == {"depth": 2, "name": "t", "dtype": "float32", "seed": None, "trainable": True}
    assert isinstance(Tower.from_config(tower.config()), Tower)


def test_a_frozen_layer_trains_nothing_and_keeps_everything():
    tower = Tower(1, name="t")
    tower(nn.Input((3,)))
    everything = set(tower.variables)
    tower.hidden[0].trainable = False
    assert "t.hidden0.weight" in tower.state
    assert "t.hidden0.weight" not in tower.parameters
    tower.trainable = False
    assert tower.parameters == {}
    assert set(tower.state) == everything == set(tower.variables)
    with nn.training() as updates:
        tower(nn.Input((3,)))
    assert updates == {}
    tower.trainable = True
    assert set(tower.parameters) == {n for n in everything if "mean" not in n and "variance" not in n}


def test_two_layers_of_one_name_are_refused():
    both = Tower(0, name="t")
    both.hidden = [nn.Dense(2, name="same"), nn.Dense(2, name="same")]
    both(nn.Input((3,)))
    with pytest.raises(gc.ArgumentError, match="t: two layers are called 'same'"):
        _ = both.parameters


def test_the_record_of_calls():
    x = nn.Input((3,))
    dense, drop = nn.Dense(3), nn.Dropout(0.5)
    h = dense(x)
    y = drop(h)
    assert y is not h
    call, position = nn.call_of(y)
    assert (call.layer, call.tensors, position) == (drop, (h,), 0)
    assert nn.call_of(h)[0].layer is dense
    assert nn.call_of(x) is None
    assert nn.call_of(x + 1) is None


def test_the_outermost_layer_made_a_tensor():
    tower = Tower(1, name="t")
    x = nn.Input((3,))
    assert nn.call_of(tower(x))[0].layer is tower


def test_a_call_again_on_other_tensors_in_training():
    lstm = nn.LSTM(3, return_sequences=True, return_state=True)
    x, mask = nn.Input((5, 2)), nn.Input((5,), "bool")
    h0, c0 = nn.Input((3,)), nn.Input((3,))
    results = lstm(x, mask=mask, initial_state=(h0, c0))
    places = [nn.call_of(t) for t in results]
    assert [position for _, position in places] == [0, 1, 2]
    assert len({id(call) for call, _ in places}) == 1
    call = places[0][0]
    assert call.tensors == (x, mask, h0, c0)
    other = {t: gc.placeholder((7, *t.shape[1:]), t.dtype) for t in call.tensors}
    assert [t.shape for t in call.again(other)] == [(7, 5, 3), (7, 3), (7, 3)]


def test_identities_vanish():
    x = nn.Input((3,), name="x")
    y = nn.Dropout(0.5)(nn.Activation("linear")(nn.Flatten()(x)))
    f = gc.function([x], gc.exp(y))
    assert f.dump("fuse", locations=False).split("{")[1].strip().startswith("%0 = exp %x")


def test_blocks_stack():
    x, drop = nn.Input((3,)), nn.Dropout(0.5)
    with nn.training() as outer:
        with nn.inference() as inner:
            drop(x)
        assert inner == outer == {}
        drop(x)
        with nn.training() as second:
            drop(x)
        assert len(outer) == len(second) == 1
    assert not drop.in_training


def test_a_layer_called_twice_in_a_block_continues():
    x, drop = nn.Input((100,)), nn.Dropout(0.5, seed=5)
    with nn.training() as updates:
        first, second = drop(x), drop(x)
    step = gc.function([x], [first, second], updates=updates, backend="numpy")
    a, b = step(np.ones((1, 100), "float32"))
    assert not np.array_equal(a, b)
    assert drop.state["dropout.seed"].value == 7


def test_a_layer_may_be_made_in_a_scan():
    cell = nn.Dense(3, activation="tanh", name="cell")
    xs = gc.placeholder((5, 2, 3), "float32")
    r = gc.scan(lambda x, h: cell(x + h), xs, gc.zeros((2, 3), "float32"))
    assert gc.function([xs], r.last, backend="numpy")(np.ones((5, 2, 3), "float32")).shape == (2, 3)
    assert len(gc.grad(gc.sum(r.last), list(cell.parameters.values()))) == 2


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: nn.Dense(0), gc.ArgumentError, "dense: units must be a whole number, at least 1, not 0"),
        (lambda: nn.Dense(2.5), gc.ArgumentError, "dense: units must be a whole number, at least 1, not 2.5"),
        (lambda: nn.Dense(2, "rellu"), gc.ArgumentError, "did you mean 'relu'?"),
        (lambda: nn.Dense(2, weight_init="xavier"), gc.ArgumentError, "'xavier' is no initializer"),
        (lambda: nn.Dense(2, name="a b"), gc.ArgumentError, "a layer's name is a word"),
        (lambda: nn.Dense(2, seed=-1), gc.ArgumentError, "dense: seed must be a whole number in 0 .. 2**63-1, not -1"),
        (lambda: nn.Dense(2, dtype="foo"), gc.DTypeError, "'foo' is not a dtype"),
        (lambda: nn.Dense(2)(gc.constant(1.0)), gc.ShapeError, "dense: takes (..., features), of rank 1 or more"),
        (lambda: nn.Conv2D(4, 3)(nn.Input((4, 4))), gc.ShapeError,
         "conv2d: takes (batch, channels, height, width), of rank 4, not f32[batch,4,4] of rank 3"),
        (lambda: nn.Conv2D(4, 3)(nn.Input((None, 8, 8))), gc.ShapeError, "the number of channels must be known"),
        (lambda: nn.Conv2D(4, 3, groups=2)(nn.Input((3, 8, 8))), gc.ShapeError, "3 channels do not make 2 groups"),
        (lambda: nn.Conv2D(3, 3, groups=2), gc.ArgumentError, "conv2d: 3 filters do not make 2 groups"),
        (lambda: nn.Conv2D(3, (3, 3, 3)), gc.ArgumentError, "conv2d: window must be one number or 2, not (3, 3, 3)"),
        (lambda: nn.Conv2D(3, 3, layout="NCWH"), gc.ArgumentError, "layout must be 'NCHW' or 'NHWC', not 'NCWH'"),
        (lambda: nn.Conv2D(3, 3, padding="FULL")(nn.Input((3, 8, 8))), gc.ArgumentError, "padding"),
        (lambda: nn.MaxPool2D(2)(nn.Input((8, 8))), gc.ShapeError, "max_pool2d: takes (batch, channels, *extents)"),
        (lambda: nn.LSTM(3)(nn.Input((8,))), gc.ShapeError, "lstm: takes (batch, time, features), of rank 3"),
        (lambda: nn.LSTM(3, stateful=True)(nn.Input((5, 2))), gc.ShapeError, "the batch of a stateful layer"),
        (lambda: nn.LSTM(3)(nn.Input((5, 2)), initial_state=nn.Input((3,))), gc.ArgumentError,
         "lstm: initial_state takes 2 tensors (h, c), not 1"),
        (lambda: nn.GRU(3)(nn.Input((5, 2)), initial_state=nn.Input((4,))), gc.ShapeError,
         "gru: a state is (batch, 3), not f32[batch,4]"),
        (lambda: nn.GRU(3)(nn.Input((5, 2)), mask=nn.Input((5,))), gc.ShapeError, "a mask is of booleans"),
        (lambda: nn.Bidirectional(nn.Dense(3)), gc.ArgumentError, "takes a recurrent layer, not <Dense 'dense'>"),
        (lambda: nn.Bidirectional(nn.GRU(3), "cat"), gc.ArgumentError, "merge must be 'concat' or"),
        (lambda: nn.Dropout(1.0), gc.ArgumentError, "dropout: rate must be in 0 <= rate < 1, not 1.0"),
        (lambda: nn.Embedding(5, 2)(nn.Input((3,))), gc.DTypeError, "embedding: takes integers, not f32[batch,3]"),
        (lambda: nn.PositionalEmbedding("learned"), gc.ArgumentError, "needs the length of the longest sequence"),
        (lambda: nn.MultiHeadAttention(3)(nn.Input((5, 4))), gc.ShapeError, "4 features do not make 3 heads"),
        (lambda: nn.BatchNorm(3)(nn.Input((5, 4))), gc.ShapeError, "batch_norm: takes a batch with channels"),
        (lambda: nn.LayerNorm(1)(nn.Input((5, 4))), gc.ShapeError, "axes 1 are not the last of f32[batch,5,4]"),
        (lambda: nn.GroupNorm(3)(nn.Input((4, 5))), gc.ShapeError, "4 channels do not make 3 groups"),
        (lambda: nn.InstanceNorm()(nn.Input((4,))), gc.ShapeError, "takes (batch, channels, *extents)"),
        (lambda: nn.Reshape((3, 3))(nn.Input((4,))), gc.ShapeError, "cannot reshape"),
        (lambda: nn.Add()(nn.Input((3,)), None), gc.ArgumentError, "add: each input must be a tensor, not None"),
        (lambda: nn.Concatenate()(), gc.ArgumentError, "concatenate: takes at least one tensor"),
        (lambda: nn.Dense(3)(None), gc.ArgumentError, "dense: takes (..., features), not None"),
        (lambda: nn.Dense(3)([nn.Input((3,))]), gc.ArgumentError, "dense: takes (..., features), not [<Tensor"),
        (lambda: nn.Dense(3)("text"), gc.ArgumentError, "dense: takes (..., features), not 'text'"),
        (lambda: nn.Dense(3)(), gc.ArgumentError, "dense: cannot be called so: missing a required argument: 'x'"),
        (lambda: nn.Dense(3)(nn.Input((3,)), mask=1), gc.ArgumentError, "got an unexpected keyword argument 'mask'"),
        (lambda: nn.Embedding(3, 3)("text"), gc.ArgumentError, "embedding: takes integers, not 'text'"),
        (lambda: nn.Lambda(lambda x: None)(nn.Input((3,))), gc.ArgumentError,
         "lambda: a layer gives a tensor or a tuple of tensors, not None"),
        (lambda: nn.Dense(3, unit=2), gc.ArgumentError, "did you mean 'units'?"),
        (lambda: nn.Dense(3, trainable="no"), gc.ArgumentError, "dense: trainable must be True or False, not 'no'"),
        (lambda: nn.LSTM(3, stateful=1), gc.ArgumentError, "lstm: stateful must be True or False, not 1"),
        (lambda: nn.LSTM(3, forget_bias=float("nan")), gc.ArgumentError, "forget_bias must be a number, not nan"),
        (lambda: nn.GRU(3)(nn.Input((5, 2)), mask=True), gc.ArgumentError, "gru: mask must be a tensor, not True"),
        (lambda: nn.GRU(3)(nn.Input((5, 2)), initial_state=3), gc.ArgumentError, "initial_state must be a tensor"),
        (lambda: nn.BatchNorm("x"), gc.ArgumentError, "batch_norm: axis must be a whole number, not 'x'"),
        (lambda: nn.LayerNorm("a"), gc.ArgumentError, "layer_norm: axes must be a whole number, not 'a'"),
        (lambda: nn.LayerNorm([]), gc.ArgumentError, "layer_norm: axes must name at least one axis"),
        (lambda: nn.group_norm(nn.Input((4,)), 0), gc.ArgumentError, "groups must be a whole number, at least 1"),
        (lambda: nn.layer_norm(3), gc.ArgumentError, "layer_norm: x must be a tensor, not 3"),
        (lambda: nn.attention(3, 3, 3), gc.ArgumentError, "attention: query must be a tensor, not 3"),
        (lambda: nn.dropout("x", 0.5, seed=1), gc.ArgumentError, "dropout: x must be a tensor, not 'x'"),
        (lambda: nn.initializers.Normal(std=-1), gc.ArgumentError, "normal: std must not be negative, but is -1"),
        (lambda: nn.initializers.Uniform("a"), gc.ArgumentError, "uniform: low must be a number, not 'a'"),
        (lambda: nn.Dense(3, bias_init=nn.initializers.Constant([1, 2]))(nn.Input((3,))), gc.ShapeError,
         "constant: a value of shape (2,) does not broadcast to (3,)"),
        (lambda: nn.Lambda(3), gc.ArgumentError, "lambda: 3 is no function"),
        (lambda: nn.layer_from({"layer": "Danse", "config": {}}), gc.ArgumentError, "did you mean 'Dense'?"),
        (lambda: nn.layer_from({"layer": "Dense"}), gc.ArgumentError, "is no layer"),
        (lambda: nn.Dense.from_config({"unit": 3}), gc.ArgumentError, "did you mean 'units'?"),
    ],
)  # fmt: skip
def test_messages(make, error, text):
    with pytest.raises(error) as caught:
        make()
    assert text in str(caught.value)
    assert "test_layer.py" in str(caught.value)
