"""What all optimisers share: clipping, decay, multipliers, accumulation, state, names, settings, refusals."""

import numpy as np
import pytest

import graphc as gc

BACKENDS = ("numpy", "llvm")
rng = np.random.default_rng(1)
ALL = {
    "gradient_descent": {}, "sgd": {"momentum": 0.9, "nesterov": True}, "adagrad": {},
    "rmsprop": {"momentum": 0.5, "centered": True}, "adadelta": {}, "adam": {"amsgrad": True}, "adamw": {},
    "subgradient": {"keep": "best"}, "proximal_gradient": {"penalty": gc.optim.L1(0.01), "accelerated": True},
}  # fmt: skip


def net(dtype="float32"):
    """A small classifier: inputs, loss, parameters."""
    draw = np.random.default_rng(0).normal
    x, t = gc.placeholder(("batch", 5), dtype, name="x"), gc.placeholder(("batch",), "int64", name="t")
    w1, w2 = (gc.variable(draw(size=s), dtype, name=n) for n, s in (("w1", (5, 8)), ("w2", (8, 3))))
    loss = gc.mean(gc.cross_entropy(gc.tanh(x @ w1) @ w2, t))
    return [x, t], loss, {"hidden.weight": w1, "out.weight": w2}


def batches(count, dtype="float32"):
    draw = np.random.default_rng(9)
    return [(draw.normal(size=(6, 5)).astype(dtype), draw.integers(0, 3, 6)) for _ in range(count)]


def after_one_step(optimizer, gradient, value=(3.0, 4.0), dtype="float64"):
    w = gc.variable(np.array(value), dtype, name="w")
    gc.function([], [], updates=optimizer.updates_from({w: gc.constant(gradient, dtype)}))()
    return w.value


def test_all_optimisers_are_tested():
    assert set(ALL) == set(gc.optim.names())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ALL)
def test_a_restored_run_is_the_uninterrupted_one(name, backend):
    def run(steps, saved=None):
        inputs, loss, parameters = net()
        rate = gc.optim.Warmup(gc.optim.CosineDecay(0.1, 15), 3)
        optimizer = gc.optim.get(name, learning_rate=rate, accumulation_steps=2, weight_decay=0.01, **ALL[name])
        step = gc.function(inputs, loss, updates=optimizer.updates(loss, parameters), backend=backend)
        variables = {**parameters, **optimizer.state}
        for key, value in (saved or {}).items():
            variables[key].assign(value)
        values = [step(*batch) for batch in steps]
        return values, {key: v.value for key, v in variables.items()}

    everything = batches(11)
    whole, at_end = run(everything)
    first, saved = run(everything[:5])
    second, restored = run(everything[5:], saved)
    assert [*first, *second] == whole
    assert list(restored) == list(at_end)
    for key, value in restored.items():
        np.testing.assert_array_equal(value, at_end[key], err_msg=key)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ALL)
def test_a_training_step_is_one_native_call_and_writes_weights_in_place(name, dtype):
    inputs, loss, parameters = net(dtype)
    optimizer = gc.optim.get(name, **{**ALL[name], "keep": "last"} if name == "subgradient" else ALL[name])
    step = gc.function(inputs, loss, updates=optimizer.updates(loss, parameters))
    plan = step.artifacts["plan"]
    assert ", 0 of them host steps" in plan
    assert "copy" not in plan
    for label, variable in optimizer.state.items():
        expected = dtype if any(label.startswith(f"{name}.{p}.") for p in parameters) else variable.dtype.name
        assert variable.dtype.name == expected


def test_state_is_named_and_shared():
    _, loss, parameters = net()
    optimizer = gc.optim.Adam(0.01)
    assert list(optimizer.state) == ["adam.learning_rate"]
    optimizer.updates(loss, parameters)
    before = optimizer.state
    assert set(before) == {"adam.learning_rate", "adam.step"} | {
        f"adam.{p}.{slot}" for p in parameters for slot in "mv"
    }
    assert all(variable.name == name for name, variable in before.items())
    optimizer.updates(loss, parameters)
    assert optimizer.state == before
    twins = [gc.variable(1.0, name="w"), gc.variable(2.0, name="w"), gc.variable(3.0)]
    named = gc.optim.SGD(momentum=0.5, name="generator")
    named.updates(sum(w * w for w in twins), twins)
    assert [n for n in named.state if n.endswith("velocity")] == [
        "generator.w.velocity", "generator.w_1.velocity", "generator.parameter2.velocity"
    ]  # fmt: skip


def test_the_learning_rate_can_be_assigned_between_steps():
    w = gc.variable(1.0, name="w")
    optimizer = gc.optim.SGD(0.25)
    step = gc.function([], [], updates=optimizer.updates(w * w, [w]))
    step()
    assert w.value == 0.5
    optimizer.learning_rate.assign(0.5)
    assert optimizer.learning_rate.value == 0.5
    step()
    assert w.value == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_schedule_sees_the_number_of_updates(backend):
    w = gc.variable(0.0, name="w")
    schedule = gc.optim.PiecewiseConstant([2, 3], [1.0, 10.0, 100.0])
    updates = gc.optim.SGD(schedule).updates_from({w: gc.constant(-1.0)})
    step = gc.function([], w, updates=updates, backend=backend)
    assert [float(step()) for _ in range(5)] == [0, 1, 2, 12, 112]


def test_clipping():
    gradient = np.array([-6.0, 8.0])
    assert list(after_one_step(gc.optim.SGD(1.0, clip_value=7.0), gradient)) == [9, -3]
    assert list(after_one_step(gc.optim.SGD(1.0, clip_norm=5.0), gradient)) == [6, 0]
    assert list(after_one_step(gc.optim.SGD(1.0, clip_norm=10.0), gradient)) == [9, -4]
    huge = np.array([-6e30, 8e30], "float32")  # whose squares are infinite in float32
    np.testing.assert_allclose(
        after_one_step(gc.optim.SGD(1.0, global_clip_norm=5.0), huge, dtype="float32"), [6, 0], atol=1e-6
    )
    v, w = gc.variable([0.0, 0.0], name="v"), gc.variable(0.0, "float32", name="w")
    optimizer = gc.optim.SGD(1.0, global_clip_norm=1.0)
    updates = optimizer.updates_from({v: gc.constant([3.0, 0.0]), w: gc.constant(4.0, "float32")})
    gc.function([], [], updates=updates)()
    np.testing.assert_allclose([*v.value, w.value], [-0.6, 0, -0.8], rtol=1e-7)
    assert w.value.dtype == np.float32


def test_weight_decay_and_exceptions():
    assert list(after_one_step(gc.optim.SGD(0.5, weight_decay=0.2), [1.0, 1.0])) == [3 - 0.5 * 1.6, 4 - 0.5 * 1.8]
    assert list(after_one_step(gc.optim.SGD(0.5, weight_decay=0.2, undecayed=["w"]), [1.0, 1.0])) == [2.5, 3.5]
    adam = after_one_step(gc.optim.Adam(0.5), [1.0, 1.0])
    with_decay = after_one_step(gc.optim.AdamW(0.5, weight_decay=0.2), [1.0, 1.0])
    np.testing.assert_allclose(adam - with_decay, 0.5 * 0.2 * np.array([3.0, 4.0]), rtol=1e-14)
    exempt = after_one_step(gc.optim.AdamW(0.5, weight_decay=0.2, undecayed=["w"]), [1.0, 1.0])
    np.testing.assert_array_equal(exempt, adam)


def test_multipliers_by_variable_and_by_name():
    v, w = gc.variable(1.0, name="v"), gc.variable(1.0, name="w")
    for multipliers in ({w: 0.0}, {"w": 0.0}):
        optimizer = gc.optim.SGD(0.5, multipliers={**multipliers})
        new = gc.function([], list(optimizer.updates(v * w, [v, w]).values())[-2:])()
        assert new == [0.5, 1.0]
    wrong = gc.optim.SGD(0.5, multipliers={"dense.weigt": 2.0})
    with pytest.raises(gc.ArgumentError, match=r"(?s)'dense.weigt' is no parameter.*did you mean 'dense.weight'"):
        wrong.updates(v * v, {"dense.weight": v})


@pytest.mark.parametrize("backend", BACKENDS)
def test_accumulated_steps_are_steps_of_the_mean(backend):
    gradients = rng.normal(size=(6, 2))
    paths = []
    for accumulated in (True, False):
        w, g = gc.variable([1.0, 2.0], name="w"), gc.placeholder((2,), "float64", name="g")
        optimizer = gc.optim.Adam(0.1, accumulation_steps=3 if accumulated else 1)
        step = gc.function([g], w, updates=optimizer.updates_from({w: g}), backend=backend)
        given = gradients if accumulated else gradients.reshape(2, 3, 2).mean(1)
        paths.append([step(g) for g in given] + [w.value])
        assert optimizer.state["adam.step"].value == 2
    every, means = paths
    np.testing.assert_array_equal(every[:3], [every[0]] * 3)
    np.testing.assert_allclose(every[::3], means, rtol=1e-13)


def test_minimize_is_fetched_by_a_session():
    w = gc.variable(1.0, name="w")
    train = gc.optim.Adam(0.1).minimize(w * w, [w])
    with gc.Session(backend="numpy") as session:
        session.run(train)
    assert w.value == pytest.approx(0.9)


@pytest.mark.parametrize("name", ALL)
def test_config_makes_the_same_optimiser(name):
    w = gc.variable(1.0, name="w")
    rate = gc.optim.Warmup(gc.optim.ExponentialDecay(0.1, 10, 0.5, staircase=True), 5)
    optimizer = gc.optim.get(
        name, learning_rate=rate, multipliers={w: 2.0}, undecayed=[w], global_clip_norm=1.0, name="mine", **ALL[name]
    )
    config = optimizer.config()
    again = gc.optim.get(config)
    assert again.config() == config == gc.optim.get(optimizer).config()
    assert (config["optimizer"], config["name"], config["multipliers"]) == (name, "mine", {"w": 2.0})
    assert type(again) is type(optimizer) and again is not optimizer
    assert repr(again) == repr(optimizer)
    assert "learning_rate=Warmup(then=ExponentialDecay(" in repr(optimizer)
    assert gc.optim.get(gc.optim.get(name).config()).config() == gc.optim.get(name).config()
    for decay in (0.0, 0.01, 0.1):
        undecided = gc.optim.get(name, weight_decay=decay, clip_norm=None, name=None, multipliers=None)
        assert gc.optim.get(undecided.config()).weight_decay == decay


def test_refusals():
    w, n = gc.variable(1.0, name="w"), gc.variable(1, name="n")
    optimizer = gc.optim.SGD()
    for wrong, message in (
        ([], "no parameters"), ([w, w], "listed twice"), ([n], "parameters are floats"), ([1.0], "are variables"),
        (w, "a dict or a list"),
    ):  # fmt: skip
        with pytest.raises(gc.ArgumentError, match=message):
            optimizer.updates(w * w, wrong)
    with pytest.raises(gc.GradientError, match="does not depend on 'v'"):
        optimizer.updates(w * w, [gc.variable(1.0, name="v")])
    with pytest.raises(gc.DTypeError, match=r"the gradient of 'w' is f32\[\], the parameter f64\[\]"):
        optimizer.updates_from({w: gc.constant(1.0, "float32")})
    with pytest.raises(gc.ShapeError, match="the gradient of 'w'"):
        optimizer.updates_from({w: gc.constant([1.0])})
    with pytest.raises(gc.ArgumentError, match="must be a tensor"):
        optimizer.updates_from({w: 1.0})
    with pytest.raises(gc.ArgumentError, match="use updates, not updates_from"):
        gc.optim.Subgradient(keep="best").updates_from({w: gc.constant(1.0)})
    for make, message in (
        (lambda: gc.optim.SGD(-1.0), "sgd: learning_rate must be a number not negative, not -1.0"),
        (lambda: gc.optim.SGD("fast"), "not 'fast'"),
        (lambda: gc.optim.SGD(nesterov=True), "nesterov needs a momentum"),
        (lambda: gc.optim.Adam(beta1=1.0), "beta1 must be a number in 0 <= x < 1, not 1.0"),
        (lambda: gc.optim.Adam(clip_norm=0.0), "clip_norm must be a number positive"),
        (lambda: gc.optim.Adam(clipnorm=1.0), "did you mean 'clip_norm'"),
        (lambda: gc.optim.Adam(accumulation_steps=0), "accumulation_steps must be a whole number, at least 1"),
        (lambda: gc.optim.get("adm"), "did you mean 'adam'"),
        (lambda: gc.optim.get("adam", learning_rat=1.0), "did you mean 'learning_rate'"),
        (lambda: gc.optim.get({"optimizer": "os.system"}), "'os.system' is no optimiser"),
        (lambda: gc.optim.get({"learning_rate": 1.0}), "None is no optimiser"),
        (lambda: gc.optim.get(3), "a name, settings or an optimiser"),
        (lambda: gc.optim.get("sgd", learning_rate={"schedule": "cosine"}), "did you mean 'cosine_decay'"),
        (lambda: gc.optim.Subgradient(keep="bst"), "did you mean 'best'"),
        (lambda: gc.optim.ProximalGradient(0.1, 0.5), "gc.optim.L1"),
    ):
        with pytest.raises(gc.ArgumentError, match=r"(?s)" + message):
            make()
