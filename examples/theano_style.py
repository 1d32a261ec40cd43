"""An Elman net that reads handwritten digits row by row, in the manner of Theano.

    python examples/theano_style.py [--backend numpy] [--epochs 30]

Shared variables that hold the data too, gradients and updates written out, compiled functions with givens, and a scan.
tf1_style.py is the same net in the manner of TensorFlow 1.x, and comes to the same numbers. What Theano code becomes:

    theano.shared(value, name="w")                     gc.variable(value, name="w")
    w.get_value(), w.set_value(v)                      w.value, w.assign(v)
    T.tensor3("x"), T.lvector("y")                     gc.placeholder(("n", 8, 8), "float32"), with its shape
    T.dot, T.tanh, T.grad                              gc.dot or @, gc.tanh, gc.grad
    theano.scan(step, sequences=xs, outputs_info=h0)   gc.scan(step, sequences=xs, init=h0).states, or .last
    theano.function(inputs, outputs, updates, givens)  gc.function, with the same arguments
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.progress import track
from sklearn.datasets import load_digits

import graphc as gc

HIDDEN, BATCH, RATE, MOMENTUM = 64, 32, 0.02, 0.9
rng = np.random.default_rng(0)


def weight(inputs: int, outputs: int, name: str) -> gc.Variable:
    """A matrix of random numbers of variance 1 / inputs."""
    return gc.variable((rng.normal(size=(inputs, outputs)) / np.sqrt(inputs)).astype("float32"), name=name)


# ---- the expressions

x = gc.placeholder(("n", 8, 8), "float32", name="x")
y = gc.placeholder(("n",), "int64", name="y")

w_in, w_back, w_out = weight(8, HIDDEN, "w_in"), weight(HIDDEN, HIDDEN, "w_back"), weight(HIDDEN, 10, "w_out")
b = gc.variable(np.zeros(HIDDEN, "float32"), name="b")
b_out = gc.variable(np.zeros(10, "float32"), name="b_out")


def step(row: gc.Tensor, h: gc.Tensor) -> gc.Tensor:
    """J. Elman: Finding Structure in Time, 1990: h_t = tanh(x_t W_in + h_{t-1} W_back + b)."""
    return gc.tanh(gc.dot(row, w_in) + gc.dot(h, w_back) + b)


reading = gc.scan(step, sequences=x.transpose(1, 0, 2), init=gc.zeros((x.shape[0], HIDDEN), "float32"))
logits = gc.dot(reading.last, w_out) + b_out
loss = gc.mean(gc.cross_entropy(logits, y))

updates = []
parameters = [w_in, w_back, b, w_out, b_out]
for parameter, gradient in zip(parameters, gc.grad(loss, parameters)):
    velocity = gc.variable(np.zeros_like(parameter.value))
    faster = MOMENTUM * velocity + gradient
    updates += [(velocity, faster), (parameter, parameter - RATE * faster)]

# The loop is one op; what the net would say after each row is computed from the states that it went through.
verdicts = gc.argmax(gc.dot(reading.states, w_out) + b_out, axis=2)  # (8, n)
accuracies = gc.mean(gc.equal(verdicts, y), axis=1)


def main() -> None:
    """Train, evaluate, save, load."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="llvm", choices=["llvm", "numpy"])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--output", type=Path, default=Path("output/theano_style"), help="folder for results")
    parser.add_argument("--quick", action="store_true", help="two epochs")
    options = parser.parse_args()
    epochs = 2 if options.quick else options.epochs
    options.output.mkdir(parents=True, exist_ok=True)

    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype("float32").reshape(-1, 8, 8)
    (train_x, train_y), (test_x, test_y) = gc.data.split(images, labels, fractions=(0.8, 0.2), stratify=labels)

    # The data are shared variables, and a call of `train` brings the numbers of its rows.
    shared_x, shared_y = gc.variable(train_x, name="train_x"), gc.variable(train_y, name="train_y")
    rows = gc.placeholder(("n",), "int64", name="rows")
    givens = {x: gc.take(shared_x, rows, axis=0), y: gc.take(shared_y, rows, axis=0)}
    train = gc.function([rows], loss, updates=updates, givens=givens, backend=options.backend, name="train")
    evaluate = gc.function([x, y], accuracies, backend=options.backend, name="evaluate")
    predict = gc.function([x], logits, backend=options.backend, name="predict")

    batches = gc.data.from_arrays(np.arange(len(train_x))).shuffle(seed=0).batch(BATCH)
    for epoch in track(range(epochs), "training", disable=not sys.stdout.isatty()):
        value = float(np.mean([train(numbers) for (numbers,) in batches]))
        if epoch % max(1, epochs // 5) == 0 or epoch == epochs - 1:
            print(f"  epoch {epoch + 1}: loss {value:.4f}, held-out accuracy {evaluate(test_x, test_y)[-1]:.2%}")
    by_row = evaluate(test_x, test_y)
    print("accuracy after each row:", *(f"{a:.0%}" for a in by_row))
    print(f"after {epochs} epochs: loss {value:.4f}, held-out accuracy {by_row[-1]:.2%}")

    figure = Figure(layout="constrained")
    figure.subplots().bar(np.arange(1, 9), by_row)
    figure.axes[0].set(xlabel="rows of the digit that are read", ylabel="held-out accuracy")
    figure.savefig(options.output / "theano_style.png")

    path = options.output / "theano_style.gcm"
    gc.save(path, predict)
    for backend in ("llvm", "numpy"):
        difference = float(np.max(np.abs(gc.load(path, backend=backend).predict(test_x) - predict(test_x))))
        print(f"loaded from {path} for {backend}: largest difference {difference:.1e}")
        assert difference == 0 if backend == options.backend else difference < 1e-3
    assert by_row[-1] > (0.3 if epochs < 30 else 0.95), "the accuracy is too low"


if __name__ == "__main__":
    main()
