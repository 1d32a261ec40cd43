"""Train a two-layer net on scikit-learn's 1,797 handwritten digits: as machine code, then by the interpreter.

    python examples/digits_mlp.py              the whole job, some seconds
    python examples/digits_mlp.py --quick      one epoch, and no printed graphs

The graph is defined once, printed before and after the passes, and compiled twice: each backend trains from the
same initial weights on the same batches, and `gc.compare` runs one step on both, tensor by tensor.
"""

import argparse
import sys
import time
from collections.abc import Iterator

import numpy as np
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import graphc as gc

HIDDEN = 256
BATCH = 32
LEARNING_RATE = 0.4
rng = np.random.default_rng(0)

# ---- the model: symbolic tensors; nothing is computed yet

x = gc.placeholder(("batch", 64), "float32", name="x")
t = gc.placeholder(("batch",), "int64", name="t")

w1 = gc.variable(rng.normal(0, np.sqrt(2 / 64), (64, HIDDEN)).astype("float32"), name="w1")
b1 = gc.variable(np.zeros(HIDDEN, "float32"), name="b1")
w2 = gc.variable(rng.normal(0, np.sqrt(2 / HIDDEN), (HIDDEN, 10)).astype("float32"), name="w2")
b2 = gc.variable(np.zeros(10, "float32"), name="b2")
weights = [w1, b1, w2, b2]

hidden = gc.relu(x @ w1 + b1)
logits = hidden @ w2 + b2
loss = gc.mean(gc.cross_entropy(logits, t))
gradients = gc.grad(loss, weights)
updates = {w: w - LEARNING_RATE * g for w, g in zip(weights, gradients)}

# ---- compiled for each backend; a call of a step stores the new weights, so both share them

steps = {b: gc.function([x, t], loss, updates=updates, backend=b, name="step") for b in ("llvm", "numpy")}
classify = gc.function([x], gc.argmax(logits, axis=1), name="classify")
step = steps["llvm"]  # for the command line: graphc dump examples.digits_mlp:step


def batches(count: int, epochs: int) -> Iterator[np.ndarray]:
    """The row numbers of each mini-batch, shuffled anew in each epoch; the same on every call."""
    shuffler = np.random.default_rng(1)
    for _ in range(epochs):
        yield from np.array_split(shuffler.permutation(count), -(-count // BATCH))


def train(step: gc.Function, xs: np.ndarray, ts: np.ndarray, epochs: int) -> float:
    """Run all steps with a progress bar (lines where the output is no terminal); gives the seconds it took."""
    total = epochs * -(-len(xs) // BATCH)
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"), TimeRemainingColumn()
    with Progress(*columns, disable=not sys.stdout.isatty()) as bar:
        task = bar.add_task(step.backend, total=total, note="")
        start, shown = time.perf_counter(), 0.0
        for number, rows in enumerate(batches(len(xs), epochs), 1):
            value = step(xs[rows], ts[rows])
            seconds = time.perf_counter() - start
            if seconds - shown < 0.25 and number < total:
                continue
            shown = seconds
            note = f"loss {value:.4f}, {number / seconds:,.0f} steps/s"
            bar.update(task, completed=number, note=note)
            if bar.disable:
                left = seconds / number * (total - number)
                print(f"  {step.backend}: step {number} of {total}, {note}, {left:.1f} s left")
        return time.perf_counter() - start


def main() -> None:
    """The whole job."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=40, help="passes over the training data (default: 40)")
    parser.add_argument("--quick", action="store_true", help="one epoch, and no printed graphs")
    options = parser.parse_args()
    epochs = 1 if options.quick else options.epochs

    images, labels = load_digits(return_X_y=True)
    split = train_test_split((images / 16).astype("float32"), labels, test_size=0.2, stratify=labels, random_state=0)
    train_x, test_x, train_t, test_t = map(np.ascontiguousarray, split)
    print(f"{len(train_x)} digits to train on, {len(test_x)} held out")

    if not options.quick:
        print("\n# ---- the training step as written", step.dump(), sep="\n")
        print("# ---- after all passes, as the LLVM backend compiles it", step.dump("final"), sep="\n")

    initial = [w.value for w in weights]
    seconds, accuracy = {}, {}
    for backend in steps:
        for w, value in zip(weights, initial):
            w.assign(value)
        print(f"training with backend {backend}")
        seconds[backend] = train(steps[backend], train_x, train_t, epochs)
        accuracy[backend] = float(np.mean(classify(test_x) == test_t))

    print("\n# ---- one training step on both backends, tensor by tensor")
    report = gc.compare(step, train_x[:BATCH], train_t[:BATCH])
    print(report)
    assert report.ok, "the backends disagree"

    print("\nbackend  training  held-out accuracy")
    for backend in seconds:
        print(f"{backend:7}  {seconds[backend]:6.2f} s  {accuracy[backend]:.2%}")
    goal = 0.5 if epochs < 10 else 0.97
    assert all(a >= goal for a in accuracy.values()), f"an accuracy below {goal:.0%}"


if __name__ == "__main__":
    main()
