"""Ops of your own: the log gamma function and its derivatives, from SciPy, and a fit that uses them.

    python examples/custom_op.py [--backend numpy]

graphc has no gamma function. `gc.define_op` adds one from three facts: a body in NumPy, a type rule, and a
gradient written with other ops. Then it is an op like any other: symbolic sizes, gradients of gradients, dumps,
and both backends; the JIT runs its body as a host step and lists it in the plan.
"""

import argparse

import numpy as np
from scipy import special, stats
from sklearn.datasets import load_breast_cancer

import graphc as gc

# The type rule says that the result has the type of the operand; a vjp rule gets the result's cotangent g.
trigamma = gc.define_op("trigamma", eval=lambda x: special.polygamma(1, x), infer=lambda x: x)
digamma = gc.define_op("digamma", eval=special.digamma, infer=lambda x: x, vjp=lambda g, y, x: g * trigamma(x))
gammaln = gc.define_op("gammaln", eval=special.gammaln, infer=lambda x: x, vjp=lambda g, y, x: g * digamma(x))


def main() -> None:
    """Fit a gamma distribution by Newton's method, and compare with SciPy's fit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="llvm", choices=["llvm", "numpy"])
    backend = parser.parse_args().backend

    # log density: (k - 1) log y - y / s - k log s - log gamma(k); theta = (log k, log s)
    theta = gc.variable([0.0, 0.0], name="theta")
    y = gc.placeholder(("n",), "float64", name="y")
    k, s = gc.exp(theta[0]), gc.exp(theta[1])
    loss = -gc.mean((k - 1) * gc.log(y) - y / s - k * theta[1] - gammaln(k))
    (gradient,) = gc.grad(loss, [theta])
    step = gc.linalg.solve(gc.hessian(loss, theta), gradient)  # needs trigamma, the gradient of digamma
    newton = gc.function([y], [loss, gradient], updates={theta: theta - step}, backend=backend, name="newton")
    for line in newton.artifacts["plan"].splitlines():
        if "gamma" in line:
            print(line.strip())

    radius = load_breast_cancer().data[:, 0]
    mean, variance = radius.mean(), radius.var()
    theta.assign(np.log([mean**2 / variance, variance / mean]))  # the method of moments
    for number in range(20):
        value, slope = newton(radius)
        print(f"step {number}: mean negative log likelihood {value:.12f}, |gradient| {np.linalg.norm(slope):.1e}")
        if np.linalg.norm(slope) < 1e-12:
            break
    shape, _, scale = stats.gamma.fit(radius, floc=0)
    print(f"shape {np.exp(theta.value[0]):.6f}, scale {np.exp(theta.value[1]):.6f}; scipy: {shape:.6f}, {scale:.6f}")
    np.testing.assert_allclose(np.exp(theta.value), [shape, scale], rtol=1e-4)


if __name__ == "__main__":
    main()
