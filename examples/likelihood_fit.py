"""A likelihood fit driven by SciPy's optimiser: Weibull regression on scikit-learn's diabetes data.

    python examples/likelihood_fit.py [--backend numpy]

The response y (disease progression after one year, 442 patients) is Weibull with shape k and scale
exp(x @ beta). One compiled function gives the mean negative log likelihood and its gradient, so the optimiser
pays one call per point; a second one gives the Hessian, and so the standard errors of the estimates.
"""

import argparse

import numpy as np
from scipy.optimize import minimize
from scipy.stats import chi2, weibull_min
from sklearn.datasets import load_diabetes

import graphc as gc


class WeibullRegression:
    """The compiled likelihood of designs with so many columns and any number of rows."""

    def __init__(self, columns: int, backend: str) -> None:
        theta = gc.placeholder((1 + columns,), "float64", name="theta")  # log k, then beta
        x = gc.placeholder(("n", columns), "float64", name="x")
        y = gc.placeholder(("n",), "float64", name="y")
        shape = gc.exp(theta[0])
        log_ratio = gc.log(y) - x @ theta[1:]  # log(y / scale)
        loss = -gc.mean(theta[0] + shape * log_ratio - gc.log(y) - gc.exp(shape * log_ratio))
        (gradient,) = gc.grad(loss, [theta])
        self.value_and_gradient = gc.function([theta, x, y], (loss, gradient), backend=backend)
        self.hessian = gc.function([theta, x, y], gc.hessian(loss, theta), backend=backend)

    def fit(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Estimates of (log k, beta), their standard errors, and the log likelihood."""
        start = np.zeros(1 + x.shape[1])
        start[1] = np.log(y.mean())  # the intercept
        found = minimize(self.value_and_gradient, start, args=(x, y), jac=True, method="BFGS", options={"gtol": 1e-7})
        assert found.success, found.message
        information = len(y) * self.hessian(found.x, x, y)
        errors = np.sqrt(np.diag(np.linalg.inv(information)))
        likelihood = -len(y) * float(found.fun)
        print(f"{x.shape[1]:2d} columns: {found.nfev} calls, log likelihood {likelihood:.3f}")
        return found.x, errors, likelihood


def main() -> None:
    """Fit without and with the patients' data, and check both against SciPy's own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="llvm", choices=["llvm", "numpy"])
    backend = parser.parse_args().backend

    data = load_diabetes()
    y = data.target
    x = np.column_stack([np.ones(len(y)), data.data / data.data.std(axis=0)])

    null, _, null_likelihood = WeibullRegression(1, backend).fit(x[:, :1], y)
    k, _, scale = weibull_min.fit(y, floc=0)
    print(f"   shape {np.exp(null[0]):.4f}, scale {np.exp(null[1]):.2f}; scipy.stats: {k:.4f}, {scale:.2f}")
    np.testing.assert_allclose(np.exp(null), [k, scale], rtol=1e-4)

    model = WeibullRegression(x.shape[1], backend)
    estimate, errors, likelihood = model.fit(x, y)
    print("   column      estimate  std. error     z")
    for name, value, error in zip(["log shape", "intercept", *data.feature_names], estimate, errors):
        print(f"   {name:10} {value:9.4f}   {error:9.4f} {value / error:5.1f}")
    p = chi2.sf(2 * (likelihood - null_likelihood), x.shape[1] - 1)
    print(f"   the ten columns matter: likelihood ratio test, p = {p:.1e}")
    assert p < 1e-20


if __name__ == "__main__":
    main()
