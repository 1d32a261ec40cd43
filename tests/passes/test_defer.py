"""Sums of products, and outputs that are products, are computed after the loop."""

import numpy as np
from checking import check, unchanged

import graphc as gc
from graphc.passes.defer import defer


def accumulating(*lines):
    text = "\n".join(lines)
    whole = f"""
    %0 = scan %x, %g, %w {{length=t, sequences=2, states=1, reverse=true}} : (f32[3,2], f32[t,n,2]) {{
    graph @step(%x: f32[n,3], %g: f32[n,2], %w: f32[3,2]) {{
    %0 = sin %g : f32[n,2]
    %1 = permute_dims %x {{axes=(1, 0)}} : f32[3,n]
    {text}
    }}
    }}
    %1 = get %0 {{index=0}} : f32[3,2]
    %2 = get %0 {{index=1}} : f32[t,n,2]
    return %1, %2
    """
    return "\n".join(line.strip() for line in whole.strip().splitlines())


PARAMETERS = "%x: f32[t,n,3], %g: f32[t,n,2], %w: f32[3,2]"


def test_the_gradient_of_a_weight():
    check(
        defer, PARAMETERS,
        accumulating("%2 = matmul %1, %0 : f32[3,2]", "%3 = add %w, %2 : f32[3,2]", "return %3, %0"),
        """
        %0 = scan %g {length=t, sequences=1, states=0, reverse=true} : (f32[t,n,2]) {
        graph @step(%g: f32[n,2]) {
        %0 = sin %g : f32[n,2]
        return %0
        }
        }
        %1 = reshape %x {shape=(n*t, 3)} : f32[n*t,3]
        %2 = permute_dims %1 {axes=(1, 0)} : f32[3,n*t]
        %3 = get %0 {index=0} : f32[t,n,2]
        %4 = reshape %3 {shape=(n*t, 2)} : f32[n*t,2]
        %5 = matmul %2, %4 : f32[3,2]
        %6 = add %w, %5 : f32[3,2]
        %7 = get %0 {index=0} : f32[t,n,2]
        return %6, %7
        """,
        "rounded",
    )  # fmt: skip


def test_a_total_that_is_read_in_the_loop_stays():
    unchanged(
        defer, PARAMETERS,
        accumulating(
            "%2 = matmul %1, %0 : f32[3,2]", "%3 = add %w, %2 : f32[3,2]", "%4 = matmul %x, %w : f32[n,2]",
            "%5 = add %0, %4 : f32[n,2]", "return %3, %5",
        ),
    )  # fmt: skip


def test_only_part_of_a_sum():
    x, w = gc.placeholder(("t", 2, 3), "float64", name="x"), gc.placeholder((3, 3), "float64", name="w")
    r = gc.scan(lambda x_t, m: m + gc.sin(x_t.T @ x_t) + x_t.T @ gc.exp(x_t), x, w)
    f = gc.function([x, w], r.last, backend="numpy", check=3)
    assert [t.op.name for t in f.optimized.tensors].count("matmul") == 1
    xs, first = np.random.default_rng(0).normal(size=(4, 2, 3)), np.ones((3, 3))
    wanted = first + sum(np.sin(a.T @ a) + a.T @ np.exp(a) for a in xs)
    np.testing.assert_allclose(f(xs, first), wanted)


def test_an_output_that_is_a_product():
    check(
        defer, "%g: f32[t,n,2], %h: f32[n,2], %w: f32[2,3]",
        """
        %0 = scan %g, %h, %w {length=t, sequences=1, states=1, reverse=true} : (f32[n,2], f32[t,n,3]) {
        graph @step(%g: f32[n,2], %h: f32[n,2], %w: f32[2,3]) {
        %0 = multiply %g, %h : f32[n,2]
        %1 = matmul %0, %w : f32[n,3]
        return %0, %1
        }
        }
        %1 = get %0 {index=1} : f32[t,n,3]
        """,
        """
        %0 = scan %g, %h {length=t, sequences=1, states=1, reverse=true} : (f32[n,2], f32[t,n,2]) {
        graph @step(%g: f32[n,2], %h: f32[n,2]) {
        %0 = multiply %g, %h : f32[n,2]
        return %0, %0
        }
        }
        %1 = get %0 {index=1} : f32[t,n,2]
        %2 = matmul %1, %w : f32[t,n,3]
        """,
        "rounded",
    )  # fmt: skip


def test_what_is_left_in_the_loops_of_an_lstm():
    """One product in each direction; weights, biases and the sequence have theirs outside."""
    x = gc.placeholder(("t", 2, 3), "float64", name="x")
    rng = np.random.default_rng(0)
    w, u, b = (gc.variable(rng.normal(size=s), name=n) for s, n in (((3, 16), "w"), ((4, 16), "u"), ((16,), "b")))

    def cell(x_t, h, c):
        i, f, g, o = gc.split(x_t @ w + h @ u + b, 4, axis=1)
        c = gc.sigmoid(f) * c + gc.sigmoid(i) * gc.tanh(g)
        return gc.sigmoid(o) * gc.tanh(c), c

    zeros = gc.zeros((2, 4), "float64")
    loss = gc.sum(gc.scan(cell, x, [zeros, zeros]).states[0])
    f = gc.function([x], [loss, *gc.grad(loss, [x, w, u, b])], backend="numpy")
    loops = [t for t in f.optimized.tensors if t.op.name == "scan"]
    inside = [[t.op.name for t in loop.attrs["body"].tensors] for loop in loops]
    assert [names.count("matmul") for names in inside] == [1, 1]
    assert not any(name in names for names in inside for name in ("sum", "permute_dims", "pad"))
