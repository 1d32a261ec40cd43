"""A dense 10-10-1 net that tells malignant from benign tumours: scikit-learn's breast cancer data, 569 patients.

    python examples/dense_classifier.py                    some seconds; pictures and the model go to ./output
    python examples/dense_classifier.py --backend numpy    the same by the interpreter
    python examples/dense_classifier.py --quick            two epochs, for tests

The data is complete, so 2% of its values are taken out at random, to show how gaps are filled. What fills them, the
bounds of outliers and the scale are learned from the training patients alone, and saved with the model.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression

import graphc as gc

MISSING = 0.02
Arrays = tuple[np.ndarray, np.ndarray]


def patients() -> list[Arrays]:
    """Features and labels (1: malignant) to train on, to validate on, and held out; each with its share of both."""
    x, benign = load_breast_cancer(return_X_y=True)
    x[np.random.default_rng(0).random(x.shape) < MISSING] = np.nan
    y = 1 - benign
    return gc.data.split(x, y, fractions=(0.7, 0.1, 0.2), stratify=y, seed=0)


def cleaning(x: np.ndarray) -> list[gc.data.Transformer]:
    """The steps from raw values to the net's inputs, fitted on x one after the other."""
    imputer, clipper, scaler = gc.data.Imputer("median"), gc.data.OutlierClipper("iqr", 3.0), gc.data.StandardScaler()
    whole = imputer.fit_transform(x)
    clipped = clipper.fit_transform(whole)
    scaler.fit(clipped)
    print(f"{gc.data.is_missing(x).sum()} missing values filled with medians, {clipper.outliers(whole).sum()} clipped")
    return [imputer, clipper, scaler]


def net(steps: list[gc.data.Transformer], backend: str) -> gc.Sequential:
    """The survey's net, ready to be trained."""
    layers = [
        gc.nn.Input((30,)),
        gc.nn.Dense(10, "relu", name="hidden1"),
        gc.nn.Dense(10, "relu", name="hidden2"),
        gc.nn.Dense(1, "sigmoid", name="malignant"),
    ]
    model = gc.Sequential(layers, name="dense_classifier")
    model.compile(
        gc.optim.Adam(0.01),
        loss="binary_crossentropy",
        metrics=["accuracy", "precision", "recall", "f1"],
        backend=backend,
        preprocessing=steps,
    )
    return model


def picture(history: gc.training.History, confusion: np.ndarray, path: Path) -> None:
    """Loss by epoch, and who was taken for what."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, label in (("loss", "training"), ("val_loss", "validation")):
        left.plot(np.add(history.epoch, 1), history[name], label=label)
    left.set(xlabel="epoch", ylabel="binary cross-entropy")
    left.legend()
    right.imshow(confusion, cmap="Blues")
    for (row, column), count in np.ndenumerate(confusion):
        right.text(column, row, f"{count:.0f}", ha="center", va="center", color="tab:red", size=16)
    right.set(xlabel="predicted", ylabel="actual")
    for axis in (right.xaxis, right.yaxis):
        axis.set_ticks([0, 1], labels=["benign", "malignant"])
    figure.savefig(path)


def check_saved(model: gc.Sequential, path: Path, x: np.ndarray, backend: str) -> None:
    """Save the model and load it for both backends: the same bits from its own, the same numbers from the other."""
    model.save(path)
    expected = model.predict(x)
    for name in ("llvm", "numpy"):
        found = gc.load(path, backend=name).predict(x)
        print(f"loaded for {name}: largest difference {np.abs(found - expected).max():.1e}")
        np.testing.assert_allclose(found, expected, rtol=0, atol=0 if name == backend else 1e-5)


def main() -> None:
    """Clean, train, evaluate, save, load."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="llvm", choices=["llvm", "numpy"])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--output", type=Path, default=Path("output/dense_classifier"), help="folder for results")
    parser.add_argument("--quick", action="store_true", help="two epochs")
    options = parser.parse_args()
    epochs = 2 if options.quick else options.epochs
    options.output.mkdir(parents=True, exist_ok=True)

    (x, y), validation, (test_x, test_y) = patients()
    steps = cleaning(x)
    model = net(steps, options.backend)
    model.summary()
    history = model.fit(x, y, epochs=epochs, batch_size=32, validation_data=validation)

    found = model.evaluate(test_x, test_y)
    print(f"on {len(test_y)} patients held out: " + ", ".join(f"{name} {value:.4f}" for name, value in found.items()))
    clean = gc.data.Pipeline(steps)
    linear = LogisticRegression().fit(clean.transform(x), y).score(clean.transform(test_x), test_y)
    print(f"accuracy of always saying benign {np.mean(test_y == 0):.4f}, of logistic regression {linear:.4f}")
    if found["accuracy"] <= linear:
        print("the net is no better than logistic regression here: 30 scaled features separate nearly all by a plane")

    confusion = gc.metrics.ConfusionMatrix()
    confusion.update(test_y, model.predict(test_x))
    picture(history, confusion.result(), options.output / "dense_classifier.png")
    check_saved(model, options.output / "dense_classifier.gcm", test_x, options.backend)
    goal = 0.95 if epochs >= 10 else 0.6
    assert found["accuracy"] >= goal, f"an accuracy below {goal}"


if __name__ == "__main__":
    main()
