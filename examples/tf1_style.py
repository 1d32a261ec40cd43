"""An Elman net that reads handwritten digits row by row, in the manner of TensorFlow 1.x.

    python examples/tf1_style.py [--backend numpy] [--epochs 30]

Placeholders, a graph, an optimiser whose `minimize` is fetched, a session that runs fetches with feeds. theano_style.py
is the same net in the manner of Theano, and comes to the same numbers. What TensorFlow 1.x code becomes:

    tf.placeholder(tf.float32, [None, 8, 8])        gc.placeholder((None, 8, 8), "float32")
    tf.Variable(value)                              gc.variable(value)
    tf.scan(f, xs, h0)                              gc.scan(f, xs, h0), where f takes (x_t, h)
    tf.train.MomentumOptimizer(...).minimize(loss)  gc.optim.SGD(..., momentum=...).minimize(loss, variables)
    sess.run(fetches, feed_dict)                    the same
    tf.global_variables_initializer()               nothing: variables have their values from the start
    tf.train.Saver().save(sess, path)               gc.save(path, functions), with the graph
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


# ---- the graph

x = gc.placeholder((None, 8, 8), "float32", name="x")
y = gc.placeholder((None,), "int64", name="y")

w_in, w_back, w_out = weight(8, HIDDEN, "w_in"), weight(HIDDEN, HIDDEN, "w_back"), weight(HIDDEN, 10, "w_out")
b = gc.variable(np.zeros(HIDDEN, "float32"), name="b")
b_out = gc.variable(np.zeros(10, "float32"), name="b_out")

# J. Elman: Finding Structure in Time, 1990: h_t = tanh(x_t W_in + h_{t-1} W_back + b)
rows = gc.transpose(x, (1, 0, 2))
h = gc.zeros((x.shape[0], HIDDEN), "float32")
last = gc.scan(lambda row, h: gc.tanh(row @ w_in + h @ w_back + b), rows, h).last
logits = last @ w_out + b_out
prediction = gc.argmax(logits, axis=1)

loss = gc.mean(gc.cross_entropy(logits, y))
accuracy = gc.mean(gc.equal(prediction, y))
train = gc.optim.SGD(RATE, momentum=MOMENTUM).minimize(loss, [w_in, w_back, b, w_out, b_out])


def main() -> None:
    """Train, evaluate, save, load."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="llvm", choices=["llvm", "numpy"])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--output", type=Path, default=Path("output/tf1_style"), help="folder for results")
    parser.add_argument("--quick", action="store_true", help="two epochs")
    options = parser.parse_args()
    epochs = 2 if options.quick else options.epochs
    options.output.mkdir(parents=True, exist_ok=True)

    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype("float32").reshape(-1, 8, 8)
    (train_x, train_y), (test_x, test_y) = gc.data.split(images, labels, fractions=(0.8, 0.2), stratify=labels)
    batches = gc.data.from_arrays(train_x, train_y).shuffle(seed=0).batch(BATCH)

    losses = []
    with gc.Session(backend=options.backend) as session:
        for epoch in track(range(epochs), "training", disable=not sys.stdout.isatty()):
            values = [session.run([loss, train], feed_dict={x: xs, y: ys})[0] for xs, ys in batches]
            losses.append(float(np.mean(values)))
            if epoch % max(1, epochs // 5) == 0 or epoch == epochs - 1:
                right = session.run(accuracy, feed_dict={x: test_x, y: test_y})
                print(f"  epoch {epoch + 1}: loss {losses[-1]:.4f}, held-out accuracy {right:.2%}")
        expected, right = session.run([logits, accuracy], feed_dict={x: test_x, y: test_y})
    print(f"after {epochs} epochs: loss {losses[-1]:.4f}, held-out accuracy {right:.2%}")

    figure = Figure(layout="constrained")
    figure.subplots().plot(losses)
    figure.axes[0].set(xlabel="epoch", ylabel="cross-entropy", yscale="log", title="an Elman net that reads digits")
    figure.savefig(options.output / "tf1_style.png")

    path = options.output / "tf1_style.gcm"
    gc.save(path, gc.function([x], logits, backend=options.backend, name="predict"))
    for backend in ("llvm", "numpy"):
        difference = float(np.max(np.abs(gc.load(path, backend=backend).predict(test_x) - expected)))
        print(f"loaded from {path} for {backend}: largest difference {difference:.1e}")
        assert difference == 0 if backend == options.backend else difference < 1e-3
    assert right > (0.3 if epochs < 30 else 0.95), "the accuracy is too low"


if __name__ == "__main__":
    main()
