"""Newton's method with an exact Hessian, as one compiled function: a call is a step.

    python examples/newton_hessian.py [--backend numpy]

The point is a variable. Gradient, Hessian, linear solve and the update that stores the next point are one graph,
so a step is one native call around one host step, LAPACK's solver. The function is Rosenbrock's valley, from the
classic start; near the minimum each step doubles the number of right digits.
"""

import argparse

import numpy as np

import graphc as gc

START = [-1.2, 1.0]

x = gc.variable(START, name="x")
value = 100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2  # H. H. Rosenbrock, 1960; minimum 0 at (1, 1)
(gradient,) = gc.grad(value, [x])
hessian = gc.hessian(value, x)
step = gc.linalg.solve(hessian, -gradient)


def main() -> None:
    """Step until the gradient vanishes, and check each derivative on the way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="llvm", choices=["llvm", "numpy"])
    backend = parser.parse_args().backend
    newton = gc.function([], [value, gradient, hessian], updates={x: x + step}, backend=backend, name="newton")
    for line in newton.artifacts["plan"].splitlines():
        if "solve" in line:
            print(line.strip())

    for number in range(20):
        a, b = x.value
        f, g, h = newton()
        print(f"step {number}  x = ({a:.15f}, {b:.15f})  f = {f:.1e}  |gradient| = {np.linalg.norm(g):.1e}")
        by_hand = [[1200 * a**2 - 400 * b + 2, -400 * a], [-400 * a, 200.0]]
        np.testing.assert_allclose(h, by_hand, rtol=1e-12)
        if np.linalg.norm(g) < 1e-12:
            break
    np.testing.assert_allclose(x.value, [1.0, 1.0], rtol=1e-14)


if __name__ == "__main__":
    main()
