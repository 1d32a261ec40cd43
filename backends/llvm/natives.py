"""The ops that the LLVM backend takes as they are, by name alone: passes ask before any kernel is written.

Invariant: the names are those of the tables that lower them, `elementwise.LOWERINGS` and `kernels.KERNELS`, which
are costly to load; a test compares.
"""

from __future__ import annotations

from graphc.analysis.loops import INDEXED, REDUCTIONS

#: Ops that are a line of `elementwise.LOWERINGS`.
ELEMENTWISE = frozenset(
    """
    abs acos acosh add asin asinh atan atan2 atanh bitwise_and bitwise_invert bitwise_left_shift bitwise_or
    bitwise_right_shift bitwise_xor cast cbrt ceil copysign cos cosh divide equal erf erfc exp exp2 expm1 floor
    floor_divide fmod greater greater_equal hypot isfinite isinf isnan less less_equal log log10 log1p log2
    logaddexp logical_not maximum minimum multiply negative nextafter not_equal pow remainder round rsqrt sigmoid
    sign signbit sin sinh softplus sqrt stop_gradient subtract tan tanh trunc where
    """.split()
)
#: Ops with a kernel of their own, a line of `kernels.KERNELS`.
OWN_KERNEL = frozenset(
    """
    argmax argmin argsort concat conv conv_planes conv_planes_weights conv_transpose conv_weights cumprod cumsum matmul
    max_pool max_pool_pick max_pool_spread pad scatter_add scatter_set sort sum_pool sum_pool_spread
    """.split()
)
#: Ops that the plan places, or whose kernel it chooses by their operands.
_PLANNED = frozenset({
    "placeholder", "variable", "const", "dim", "get", "fused", "matmul", "scan", "cond", "while_loop",
})  # fmt: skip

NATIVE = _PLANNED | INDEXED | REDUCTIONS | ELEMENTWISE | OWN_KERNEL
