"""What is saved comes back: values, structures, names, preprocessing; without the code that built it."""

from __future__ import annotations

import json
import subprocess
import sys

import model_files
import numpy as np
import pytest

import graphc as gc

PATHS = ["model", "model.gcm"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_a_model_comes_back(path, backend, tmp_path):
    parts, inputs = model_files.small_model()
    gc.save(tmp_path / path, parts)
    model = gc.load(tmp_path / path, backend=backend)
    scaled = parts.preprocessing[0].transform(inputs)
    expected, found = parts.functions["predict"](scaled), model.predict(inputs)
    assert list(found) == ["y", "pair"] and isinstance(found["pair"], tuple)
    np.testing.assert_allclose(found["y"], expected["y"], rtol=1e-5)
    np.testing.assert_allclose(found["pair"][1], expected["pair"][1], rtol=1e-5, atol=1e-6)
    assert model.metadata == {"classes": ["a", "b"]}
    assert set(model.variables) == {"dense.weight", "dense.bias"}
    assert {f.backend for f in model.functions.values()} == {backend}


def test_a_loaded_training_step_goes_on_as_the_original(tmp_path):
    parts, inputs = model_files.small_model()
    targets = np.array([0, 1, 0, 1, 1, 0], "float32")
    gc.save(tmp_path / "m.gcm", parts)
    model = gc.load(tmp_path / "m.gcm", backend="numpy")
    for _ in range(3):
        assert model.functions["step"](inputs, targets) == parts.functions["step"](inputs, targets)
    # Both functions of the model share their variables.
    ours, theirs = model.functions["predict"](inputs), parts.functions["predict"](inputs)
    assert np.array_equal(ours["y"], theirs["y"])
    assert np.array_equal(model.variables["dense.weight"].value, parts.variables["dense.weight"].value)


def test_the_same_model_gives_the_same_bytes(tmp_path):
    parts, _ = model_files.small_model()
    gc.save(tmp_path / "a.gcm", parts)
    gc.save(tmp_path / "b.gcm", parts)
    again = gc.load(tmp_path / "a.gcm", backend="numpy")
    steps = again.preprocessing
    gc.save(tmp_path / "c.gcm", gc.io.Parts(again.functions, again.variables, steps, again.metadata))
    assert (tmp_path / "a.gcm").read_bytes() == (tmp_path / "b.gcm").read_bytes()
    assert (tmp_path / "a.gcm").read_bytes() == (tmp_path / "c.gcm").read_bytes()


def test_files_are_readable_by_others(tmp_path):
    from safetensors.numpy import load_file

    parts, _ = model_files.small_model()
    gc.save(tmp_path / "model", parts)
    weights = load_file(tmp_path / "model" / "weights.safetensors")
    assert np.array_equal(weights["dense.weight"], parts.variables["dense.weight"].value)
    assert set(weights) == {"dense.weight", "dense.bias", "table"}
    text = (tmp_path / "model" / "predict.gir").read_text()
    assert "variable : f32[4,300]" in text and ".py:" not in text and len(text) < 1500
    gc.parse(text)
    assert json.loads((tmp_path / "model" / "manifest.json").read_text())["format"] == "graphc model"


def test_locations_are_kept_where_asked(tmp_path):
    parts, _ = model_files.small_model()
    gc.save(tmp_path / "m.gcm", parts, locations=True)
    assert "model_files.py:" in gc.load(tmp_path / "m.gcm", backend="numpy").functions["predict"].dump()


def test_it_runs_without_the_code_that_built_it(tmp_path):
    parts, inputs = model_files.small_model()
    gc.save(tmp_path / "m.gcm", parts)
    np.save(tmp_path / "x.npy", inputs)
    program = (
        "import sys, numpy, graphc\n"
        "y = graphc.load('m.gcm', backend='numpy').predict(numpy.load('x.npy'))['y']\n"
        "assert 'model_files' not in sys.modules and 'sklearn' not in sys.modules\n"
        "numpy.save('y.npy', y)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    scaled = parts.preprocessing[0].transform(inputs)
    assert np.array_equal(np.load(tmp_path / "y.npy"), parts.functions["predict"](scaled)["y"])


@pytest.mark.parametrize(
    "structure",
    [
        lambda a, b: a,
        lambda a, b: [a],
        lambda a, b: (a, b),
        lambda a, b: [a, a, (b, {"z": a, "a": [b]})],
        lambda a, b: {"empty": [], "none": None, "x": a},
        lambda a, b: None,
    ],
)
def test_structures_of_outputs(structure, tmp_path):
    x = gc.placeholder(("n",), "float64", name="x")
    f = gc.function([x], structure(x + 1.0, x * 2.0), backend="numpy")
    gc.save(tmp_path / "m.gcm", f)
    found, expected = gc.load(tmp_path / "m.gcm", backend="numpy").predict([1.0, 2.0]), f([1.0, 2.0])
    assert repr(found) == repr(expected)


def test_names_that_clash(tmp_path):
    """An input, three variables, a constant and a result, all called w; an unnamed variable; strange names."""
    x = gc.placeholder(("n",), "float64", name="w")
    variables = [gc.variable(float(i + 1), name="w") for i in range(3)]
    variables += [gc.variable(10.0), gc.variable(20.0, name="a b")]
    big = gc.constant(np.arange(2000.0), name="w")
    y = x * variables[0] + variables[1] * variables[2] - variables[3] / variables[4] + gc.sum(big)
    f = gc.function([x], y, updates={variables[1]: variables[1] + 1.0}, backend="numpy")
    gc.save(tmp_path / "m.gcm", f)
    model = gc.load(tmp_path / "m.gcm", backend="numpy")
    assert sorted(model.variables) == ["a_b", "variable", "w.1", "w.2", "w.3"]
    for _ in range(2):
        assert np.array_equal(model.functions["predict"](w=[1.0, 2.0]), f(w=[1.0, 2.0]))
    assert {n: float(v.value) for n, v in model.variables.items()} == {
        "w.1": 1.0, "w.2": 4.0, "w.3": 3.0, "variable": 10.0, "a_b": 20.0
    }  # fmt: skip


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "uint64", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3), (1001,)])
def test_weights_of_every_dtype(dtype, shape, tmp_path):
    value = (np.arange(int(np.prod(shape))) % 2).reshape(shape).astype(dtype)
    v = gc.variable(value, name="v")
    gc.io.save_weights(tmp_path / "w.safetensors", {"v": v})
    v.assign(np.zeros_like(value))
    gc.io.load_weights(tmp_path / "w.safetensors", {"v": v})
    assert v.value.dtype == value.dtype and np.array_equal(v.value, value)


def test_special_floats_come_back_bit_for_bit(tmp_path):
    bits = np.array([0x7FC00001, 0xFF800000, 0x80000000, 1], np.uint32).view(np.float32)
    v = gc.variable(bits, name="v")
    gc.io.save_weights(tmp_path / "w.safetensors", {"v": v})
    assert gc.io.read_weights(tmp_path / "w.safetensors")["v"].tobytes() == bits.tobytes()


def test_weights_that_do_not_fit_change_nothing(tmp_path):
    a, b = gc.variable([1.0], name="a"), gc.variable([2.0], name="b")
    gc.io.save_weights(tmp_path / "w.safetensors", {"a": a, "b": b})
    c = gc.variable([[3.0]], name="b")
    a.assign([9.0])
    for variables, message in [
        ({"a": a}, "also has 'b'"),
        ({"a": a, "b": b, "c": c}, "lacks 'c'"),
        ({"a": a, "b": c}, "'b' is f64"),
    ]:
        with pytest.raises(gc.ModelFileError, match=message):
            gc.io.load_weights(tmp_path / "w.safetensors", variables)
        assert a.value == 9.0 and c.value == 3.0
    with pytest.raises(gc.ModelFileError):
        gc.io.load_weights(tmp_path / "nothing", {"a": a})


# ---- ops of one's own ------------------------------------------------------------------------------------


def test_an_op_that_is_not_registered_is_named(tmp_path):
    from graphc.ir.opdef import OPS

    cube = gc.define_op("mine.cube", eval=lambda x: x**3, infer=lambda x: x)
    x = gc.placeholder(("n",), "float64", name="x")
    gc.save(tmp_path / "m.gcm", gc.function([x], cube(x), backend="numpy"))
    assert gc.load(tmp_path / "m.gcm", backend="numpy").predict([2.0]) == 8.0
    del OPS["mine.cube"]
    with pytest.raises(gc.ModelFileError, match=r"no op named 'mine\.cube'.*gc\.define_op"):
        gc.load(tmp_path / "m.gcm")


# ---- what cannot be saved --------------------------------------------------------------------------------


class _Model:
    def __init__(self, parts):
        self.saved_parts = lambda: parts


def _function():
    return gc.function([], gc.constant(1.0), backend="numpy")


def _nested(depth):
    steps = gc.data.StandardScaler().fit([[1.0]])
    for _ in range(depth):
        steps = gc.data.Pipeline([steps])
    return gc.io.Parts({"predict": _function()}, preprocessing=[steps])


def _deep_outputs():
    structure = gc.constant(1.0)
    for _ in range(100):
        structure = [structure]
    return gc.function([], structure, backend="numpy")


def _unfitted():
    return gc.io.Parts({"predict": _function()}, preprocessing=[gc.data.StandardScaler()])


CANNOT = {
    "a number": lambda: 3,
    "a tensor": lambda: gc.constant(1.0),
    "a lambda by name": lambda: {"predict": lambda x: x},
    "a name that is a path": lambda: {"../predict": _function()},
    "a name with a dot": lambda: {"a.b": _function()},
    "names that differ in case": lambda: {"predict": _function(), "Predict": _function()},
    "parts that are none": lambda: _Model({"predict": 1}),
    "metadata with NaN": lambda: gc.io.Parts({"predict": _function()}, metadata=float("nan")),
    "metadata with an array": lambda: gc.io.Parts({"predict": _function()}, metadata={"x": np.ones(2)}),
    "metadata with numbers for keys": lambda: gc.io.Parts({"predict": _function()}, metadata={1: 2}),
    "variables that are arrays": lambda: gc.io.Parts({"predict": _function()}, {"w": np.ones(2)}),
    "a transformer that is not fitted": _unfitted,
    "a transformer of one's own": lambda: gc.io.Parts({"predict": _function()}, preprocessing=[object()]),
    "pipelines in pipelines in pipelines": lambda: _nested(40),
    "outputs in lists in lists": _deep_outputs,
    "metadata that nest": lambda: gc.io.Parts({"predict": _function()}, metadata=json.loads("[" * 60 + "]" * 60)),
    "metadata without end": lambda: gc.io.Parts({"predict": _function()}, metadata="x" * 2**24),
    "a text for a path of an array": lambda: gc.io.Parts({"predict": _function()}, {"w" * 2000: gc.variable(1.0)}),
    "outputs with numbers for keys": lambda: gc.function([], {1: gc.constant(1.0)}, backend="numpy"),
}


@pytest.mark.parametrize("name", CANNOT)
def test_what_cannot_be_saved_is_refused_before_anything_is_written(name, tmp_path):
    with pytest.raises(gc.ArgumentError):
        gc.save(tmp_path / "m.gcm", CANNOT[name]())
    assert list(tmp_path.iterdir()) == []


def test_scikit_learns_transformers_are_saved_as_data(tmp_path):
    from sklearn.preprocessing import PowerTransformer, StandardScaler

    x = np.random.default_rng(0).normal(size=(20, 3))
    p = gc.placeholder(("n", 3), "float64", name="x")
    f = gc.function([p], gc.sum(p, axis=1), backend="numpy")
    theirs = StandardScaler().fit(x)
    gc.save(tmp_path / "m.gcm", gc.io.Parts({"predict": f}, preprocessing=[theirs]))
    np.testing.assert_allclose(
        gc.load(tmp_path / "m.gcm", backend="numpy").predict(x), theirs.transform(x).sum(axis=1), atol=1e-12
    )
    with pytest.raises(gc.ArgumentError, match="PowerTransformer"):
        gc.save(tmp_path / "n.gcm", gc.io.Parts({"predict": f}, preprocessing=[PowerTransformer().fit(x)]))


def test_an_object_with_saved_parts(tmp_path):
    parts, _ = model_files.small_model()
    gc.save(tmp_path / "m", _Model(parts))
    assert sorted(gc.load(tmp_path / "m", backend="numpy").functions) == ["predict", "step"]


def test_foreign_folders_and_files_are_left_alone(tmp_path):
    f = _function()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("x")
    with pytest.raises(gc.ArgumentError, match=r"chapter1\.tex"):
        gc.save(tmp_path / "thesis", f)
    (tmp_path / "file").write_text("x")
    with pytest.raises(gc.ArgumentError, match="is a file"):
        gc.save(tmp_path / "file", f)
    (tmp_path / "dir.gcm").mkdir()
    with pytest.raises(gc.ArgumentError, match="is a folder"):
        gc.save(tmp_path / "dir.gcm", f)
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "x"


def test_a_missing_predict_and_a_backend_that_is_none(tmp_path):
    gc.save(tmp_path / "m.gcm", {"other": _function()})
    with pytest.raises(gc.ArgumentError, match="functions are: other"):
        gc.load(tmp_path / "m.gcm", backend="numpy").predict()
    with pytest.raises(gc.ArgumentError, match="cuda"):
        gc.load(tmp_path / "m.gcm", backend="cuda")


def test_a_deep_graph(tmp_path):
    x = gc.placeholder((), "float64", name="x")
    y = x
    for _ in range(3_000):
        y = y + 1.0
    gc.save(tmp_path / "m.gcm", gc.function([x], y, backend="numpy"))
    assert gc.load(tmp_path / "m.gcm", backend="numpy").predict(0.0) == 3_000.0


def _net(tmp_path, backend="numpy"):
    x = gc.placeholder(("batch", 2), "float32", name="x")
    w = gc.variable(np.array([[1.0], [-2.0]], "float32"), name="w")
    gc.save(tmp_path / "net", gc.function([x], {"y": x @ w, "twice": [2.0 * (x @ w)]}, backend="numpy", name="net"))
    return gc.load(tmp_path / "net", backend="numpy")


def test_a_loaded_model_runs_batch_by_batch(tmp_path):
    model, x = _net(tmp_path), np.arange(10.0).reshape(5, 2)
    whole, parts = model.predict(x), model.predict(x, batch_size=2)
    np.testing.assert_array_equal(parts["y"], whole["y"])
    np.testing.assert_array_equal(parts["twice"][0], whole["twice"][0])
    np.testing.assert_array_equal(model.predict({"x": x})["y"], whole["y"])
    with pytest.raises(gc.ArgumentError, match="batch_size must be a whole number >= 1, not 0"):
        model.predict(x, batch_size=0)


def test_a_loaded_model_tells_of_itself(tmp_path):
    model = _net(tmp_path)
    assert {name: (t.shape[1:], t.dtype.name) for name, t in model.inputs.items()} == {"x": ((2,), "float32")}
    assert "net(x: f32[batch,2])" in model.summary()
    assert model.summary().endswith("2 numbers in 1 variables")


def test_errors_of_a_loaded_model_name_no_unknown_line(tmp_path):
    model = _net(tmp_path)
    with pytest.raises(gc.ShapeError, match=r"must have shape f32\[batch,2\], .*\(2,\)(\n.*)*hint: one example x is"):
        model.predict(np.zeros(2))
    with pytest.raises(gc.GraphcError) as caught:
        model.predict(np.zeros((3, 5)))
    assert "unknown" not in str(caught.value)
