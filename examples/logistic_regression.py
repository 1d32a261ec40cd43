"""Logistic regression on scikit-learn's breast cancer data, in the manner of TensorFlow 1.x.

    python examples/logistic_regression.py [--backend numpy] [--steps 1000]

Define a graph, open a session, run a training step again and again. `gc.assign` is what stores new weights;
`feed_dict` gives the data. The fit is checked against scikit-learn's own on the same loss.
"""

import argparse

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import graphc as gc

STRENGTH = 10.0  # of the penalty on the weights: scikit-learn's 1 / C
MOMENTUM = 0.9
RATE = 0.5

x = gc.placeholder(("n", 30), "float64", name="x")
t = gc.placeholder(("n",), "float64", name="t")  # 1: benign, 0: malignant
w = gc.variable(np.zeros(30), name="w")
b = gc.variable(0.0, name="b")
velocity = [gc.variable(np.zeros(30), name="velocity_w"), gc.variable(0.0, name="velocity_b")]

logits = x @ w + b
penalty = STRENGTH / 2 * gc.sum(w * w)
loss = (gc.sum(gc.binary_cross_entropy_from_logits(logits, t)) + penalty) / t.shape[0]

step = []
for parameter, v, gradient in zip([w, b], velocity, gc.grad(loss, [w, b])):
    faster = MOMENTUM * v - RATE * gradient
    step += [gc.assign(v, faster), gc.assign(parameter, parameter + faster)]


def main() -> None:
    """Fit by gradient descent with momentum, then compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="llvm", choices=["llvm", "numpy"])
    parser.add_argument("--steps", type=int, default=1000)
    options = parser.parse_args()

    data = load_breast_cancer()
    train_x, test_x, train_t, test_t = train_test_split(
        data.data, data.target.astype("float64"), test_size=0.2, stratify=data.target, random_state=0
    )
    scaler = StandardScaler().fit(train_x)
    train_x, test_x = scaler.transform(train_x), scaler.transform(test_x)

    with gc.Session(backend=options.backend) as session:
        for number in range(options.steps):
            value, *_ = session.run([loss, *step], feed_dict={x: train_x, t: train_t})
            if number % (options.steps // 5) == 0:
                print(f"step {number:5d}  loss {value:.6f}")
        scores = session.run(logits, feed_dict={x: test_x})
    accuracy = float(np.mean((scores > 0) == (test_t > 0)))

    reference = LogisticRegression(C=1 / STRENGTH, tol=1e-10, max_iter=10_000).fit(train_x, train_t)
    difference = float(np.max(np.abs(w.value - reference.coef_[0])))
    strongest = [data.feature_names[i] for i in np.argsort(-np.abs(w.value))[:3]]
    print(f"held-out accuracy {accuracy:.2%}; strongest features: {', '.join(strongest)}")
    print(f"largest difference from scikit-learn's weights: {difference:.1e}")
    assert accuracy > 0.95
    assert difference < 1e-6


if __name__ == "__main__":
    main()
