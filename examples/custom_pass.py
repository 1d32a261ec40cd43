"""A pass and a rule of your own, in the pipeline of every function compiled after.

    python examples/custom_pass.py [--backend numpy]

The pass guards each division and logarithm with `gc.check_finite`, so that the first NaN or infinity stops the
run with the user's own line. The rule is a piece of algebra that the built-in ones lack. Both carry the lines of
the tensors that they replace, and both show in dumps under their names.
"""

import argparse

import numpy as np

import graphc as gc

GUARDED = {"divide", "log"}


def guard(graph: gc.Graph) -> gc.Graph:
    """The pass, Graph -> Graph: `rebuild` walks the tensors, operands first."""

    def guarded(tensor: gc.Tensor, inputs: tuple[gc.Tensor, ...]) -> gc.Tensor:
        new = gc.ir.graph.with_inputs(tensor, inputs)
        if tensor.op.name not in GUARDED:
            return new
        with gc.ir.location.inherit(tensor.location, "via guard"):
            return gc.check_finite(new, f"after {tensor.op.name}")

    return graph.rebuild(guarded)


def exp_of_sum(tensor: gc.Tensor) -> gc.Tensor | None:
    """exp(x) * exp(y) -> exp(x + y)"""
    if all(operand.op.name == "exp" for operand in tensor.inputs):
        (x,), (y,) = (operand.inputs for operand in tensor.inputs)
        return gc.exp(x + y)
    return None  # no opinion


def main() -> None:
    """Compile with the rule, then with the pass, and see what they change."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="llvm", choices=["llvm", "numpy"])
    backend = parser.parse_args().backend

    x = gc.placeholder(("n",), "float64", name="x")
    y = gc.placeholder(("n",), "float64", name="y")
    product = gc.exp(x) * gc.exp(y)
    # It rounds differently, and overflows elsewhere: so it is a fast_math rule, and runs only on request.
    with gc.register_rule(exp_of_sum, "multiply", fast_math=True):
        f = gc.function([x, y], product, backend=backend, fast_math=True, name="product")
        strict = gc.function([x, y], product, backend=backend)
    print(f.dump("simplify"))
    assert f.dump("simplify").count("= exp") == 1
    assert strict.dump("simplify").count("= exp") == 2
    np.testing.assert_allclose(f([1.0, 2.0], [3.0, 4.0]), np.exp([4.0, 6.0]), rtol=1e-15)

    entropy = -gc.sum(x * gc.log(x))
    with gc.register_pass("guard", guard, after="cse"):
        g = gc.function([x], entropy, backend=backend, name="entropy")
    print(g.dump("guard"))
    print("entropy of a fair coin:", g([0.5, 0.5]))
    assert g([0.5, 0.5]) == np.log(2)
    try:
        g([1.0, 0.0])  # 0 * log(0) is NaN; the guard says where it began
    except gc.CheckError as error:
        print(f"CheckError: {error}")
    else:
        raise AssertionError("the guard let an infinity through")


if __name__ == "__main__":
    main()
