"""Formulas as they are written by hand, replaced by those that neither overflow nor cancel.

A rule here may change values only for the better: where the formula as written is accurate, the result
differs by rounding; where it overflows, cancels or divides 0 by 0, the result is the true value. These rules
run first, while the user's formulas are still whole.

Invariant: each right-hand side is at least as accurate as its left-hand side for every input, and equal to it
in exact arithmetic.
"""

from __future__ import annotations

from graphc.ir.tensor import Tensor
from graphc.passes.patterns import is_op, is_uniform, make
from graphc.passes.rewrite import stabilize


def _other_than(t: Tensor, value: float) -> Tensor | None:
    """The operand of a binary `t` beside one that is `value`, if it has the type of `t`."""
    x, y = t.inputs
    for other, constant in ((x, y), (y, x)):
        if is_uniform(constant, value) and other.type == t.type:
            return other
    return None


def _exponent(t: Tensor) -> Tensor | None:
    """x of exp(x)."""
    return t.inputs[0] if is_op(t, "exp") else None


def _negated(x: Tensor) -> Tensor:
    return x.inputs[0] if is_op(x, "negative") else make("negative", x)


# Softmax and its logarithm


@stabilize("log")
def log_of_softmax(t: Tensor) -> Tensor | None:
    """log(softmax(x)) -> log_softmax(x), which has no log(0)

    %x: f32[n,10]
    %0 = softmax %x {axis=1} : f32[n,10]
    %1 = log %0 : f32[n,10]
    """
    (s,) = t.inputs
    return make("log_softmax", s.inputs[0], axis=s.attrs["axis"]) if is_op(s, "softmax") else None


@stabilize("divide")
def softmax_by_hand(t: Tensor) -> Tensor | None:
    """exp(x) / sum(exp(x), axis, keepdims) -> softmax(x), whose exp does not overflow

    %x: f32[n,10]
    %0 = exp %x : f32[n,10]
    %1 = sum %0 {axis=(1,), keepdims=true} : f32[n,1]
    %2 = divide %0, %1 : f32[n,10]
    """
    e, s = t.inputs
    x = _exponent(e)
    if x is None or not is_op(s, "sum") or not s.attrs["keepdims"] or len(s.attrs["axis"]) != 1:
        return None
    return make("softmax", x, axis=s.attrs["axis"][0]) if _exponent(s.inputs[0]) is x else None


@stabilize("log")
def log_of_sum_of_exp(t: Tensor) -> Tensor | None:
    """log(sum(exp(x), axis)) -> logsumexp(x, axis), which neither overflows nor takes log(0)

    %x: f32[n,10]
    %0 = exp %x : f32[n,10]
    %1 = sum %0 {axis=(1,), keepdims=false} : f32[n]
    %2 = log %1 : f32[n]
    """
    (s,) = t.inputs
    if not is_op(s, "sum"):
        return None
    x = _exponent(s.inputs[0])
    return None if x is None else make("logsumexp", x, **s.attrs)


@stabilize("log")
def log_of_two_exps(t: Tensor) -> Tensor | None:
    """log(exp(x) + exp(y)) -> logaddexp(x, y)

    %x: f32[n], %y: f32[n]
    %0 = exp %x : f32[n]
    %1 = exp %y : f32[n]
    %2 = add %0, %1 : f32[n]
    %3 = log %2 : f32[n]
    """
    (s,) = t.inputs
    if not is_op(s, "add"):
        return None
    x, y = (_exponent(operand) for operand in s.inputs)
    return None if x is None or y is None else make("logaddexp", x, y)


# Near one


@stabilize("log")
def log_of_one_plus(t: Tensor) -> Tensor | None:
    """log(1 + x) -> log1p(x), which keeps small x

    %x: f32[n]
    %0 = const {value=1.0} : f32[]
    %1 = add %0, %x : f32[n]
    %2 = log %1 : f32[n]
    """
    (s,) = t.inputs
    x = _other_than(s, 1) if is_op(s, "add") else None
    return None if x is None else make("log1p", x)


@stabilize("log")
def log_of_one_minus(t: Tensor) -> Tensor | None:
    """log(1 - x) -> log1p(-x), which keeps small x

    %x: f32[n]
    %0 = const {value=1.0} : f32[]
    %1 = subtract %0, %x : f32[n]
    %2 = log %1 : f32[n]
    """
    (s,) = t.inputs
    if not is_op(s, "subtract") or not is_uniform(s.inputs[0], 1) or s.inputs[1].type != t.type:
        return None
    return make("log1p", _negated(s.inputs[1]))


@stabilize("subtract")
def exp_minus_one(t: Tensor) -> Tensor | None:
    """exp(x) - 1 -> expm1(x), which keeps small x

    %x: f32[n]
    %0 = exp %x : f32[n]
    %1 = const {value=1.0} : f32[]
    %2 = subtract %0, %1 : f32[n]
    """
    e, one = t.inputs
    x = _exponent(e)
    return make("expm1", x) if x is not None and is_uniform(one, 1) and x.type == t.type else None


@stabilize("add")
def minus_one_plus_exp(t: Tensor) -> Tensor | None:
    """exp(x) + -1 -> expm1(x), which keeps small x

    %x: f32[n]
    %0 = exp %x : f32[n]
    %1 = const {value=-1.0} : f32[]
    %2 = add %0, %1 : f32[n]
    """
    e = _other_than(t, -1)
    x = None if e is None else _exponent(e)
    return None if x is None else make("expm1", x)


@stabilize("subtract")
def one_minus_erf(t: Tensor) -> Tensor | None:
    """1 - erf(x) -> erfc(x), which keeps the far tail

    %x: f32[n]
    %0 = erf %x : f32[n]
    %1 = const {value=1.0} : f32[]
    %2 = subtract %1, %0 : f32[n]
    """
    one, e = t.inputs
    if not is_op(e, "erf") or not is_uniform(one, 1) or e.type != t.type:
        return None
    return make("erfc", e.inputs[0])


# The logistic function


def _exponent_beside_one(t: Tensor) -> Tensor | None:
    """x of 1 + exp(x)."""
    e = _other_than(t, 1) if is_op(t, "add") else None
    return None if e is None else _exponent(e)


@stabilize("divide")
def sigmoid_by_hand(t: Tensor) -> Tensor | None:
    """1 / (1 + exp(-x)) -> sigmoid(x)

    %x: f32[n]
    %0 = negative %x : f32[n]
    %1 = exp %0 : f32[n]
    %2 = const {value=1.0} : f32[]
    %3 = add %2, %1 : f32[n]
    %4 = divide %2, %3 : f32[n]
    """
    one, s = t.inputs
    x = _exponent_beside_one(s)
    if x is None or not is_uniform(one, 1) or x.type != t.type:
        return None
    return make("sigmoid", _negated(x))


@stabilize("divide")
def sigmoid_as_share(t: Tensor) -> Tensor | None:
    """exp(x) / (1 + exp(x)) -> sigmoid(x), which has no inf / inf

    %x: f32[n]
    %0 = exp %x : f32[n]
    %1 = const {value=1.0} : f32[]
    %2 = add %0, %1 : f32[n]
    %3 = divide %0, %2 : f32[n]
    """
    e, s = t.inputs
    x = _exponent(e)
    return make("sigmoid", x) if x is not None and _exponent_beside_one(s) is x else None


@stabilize("subtract")
def one_minus_sigmoid(t: Tensor) -> Tensor | None:
    """1 - sigmoid(x) -> sigmoid(-x), which does not cancel

    %x: f32[n]
    %0 = sigmoid %x : f32[n]
    %1 = const {value=1.0} : f32[]
    %2 = subtract %1, %0 : f32[n]
    """
    one, s = t.inputs
    if not is_op(s, "sigmoid") or not is_uniform(one, 1) or s.type != t.type:
        return None
    return make("sigmoid", _negated(s.inputs[0]))


@stabilize("log")
def log_of_sigmoid(t: Tensor) -> Tensor | None:
    """log(sigmoid(x)) -> -softplus(-x), which has no log(0)

    %x: f32[n]
    %0 = sigmoid %x : f32[n]
    %1 = log %0 : f32[n]
    """
    (s,) = t.inputs
    return make("negative", make("softplus", _negated(s.inputs[0]))) if is_op(s, "sigmoid") else None


@stabilize("log1p")
def log1p_of_minus_sigmoid(t: Tensor) -> Tensor | None:
    """log1p(-sigmoid(x)) -> -softplus(x), which has no log(0)

    %x: f32[n]
    %0 = sigmoid %x : f32[n]
    %1 = negative %0 : f32[n]
    %2 = log1p %1 : f32[n]
    """
    (m,) = t.inputs
    if not is_op(m, "negative") or not is_op(m.inputs[0], "sigmoid"):
        return None
    return make("negative", make("softplus", m.inputs[0].inputs[0]))


@stabilize("log1p")
def log1p_of_exp(t: Tensor) -> Tensor | None:
    """log1p(exp(x)) -> softplus(x), whose exp does not overflow

    %x: f32[n]
    %0 = exp %x : f32[n]
    %1 = log1p %0 : f32[n]
    """
    x = _exponent(t.inputs[0])
    return None if x is None else make("softplus", x)


# Roots


@stabilize("divide")
def one_over_sqrt(t: Tensor) -> Tensor | None:
    """1 / sqrt(x) -> rsqrt(x), which rounds once

    %x: f32[n]
    %0 = sqrt %x : f32[n]
    %1 = const {value=1.0} : f32[]
    %2 = divide %1, %0 : f32[n]
    """
    one, root = t.inputs
    if not is_op(root, "sqrt") or not is_uniform(one, 1) or root.type != t.type:
        return None
    return make("rsqrt", root.inputs[0])
