"""graphc: define a graph of array mathematics, optimise it by readable passes, run it by NumPy or LLVM."""

import importlib
import typing

import graphc.ops.fused  # registers the op that passes/fuse.py makes
import graphc.ops.planes  # noqa: F401  registers the ops that passes/planes.py makes
from graphc import arguments, linalg
from graphc.errors import (
    ArgumentError,
    CheckError,
    CodegenError,
    DTypeError,
    FeedError,
    FlagError,
    GradientError,
    GraphcError,
    GraphError,
    IndexOutOfBoundsError,
    InternalError,
    LinearAlgebraError,
    ModelFileError,
    ParseError,
    PassError,
    ShapeError,
    SymbolicUseError,
    VerifyError,
)
from graphc.function import Function, function
from graphc.ir import location
from graphc.ir.build import constant
from graphc.ir.graph import Graph
from graphc.ir.parse import parse
from graphc.ir.tensor import Tensor, Variable
from graphc.ops import random
from graphc.ops.adaptive_pooling import adaptive_avg_pool, adaptive_max_pool, global_avg_pool, global_max_pool
from graphc.ops.arithmetic import (
    add,
    divide,
    floor_divide,
    fmod,
    multiply,
    negative,
    positive,
    pow,
    remainder,
    stop_gradient,
    subtract,
)
from graphc.ops.assignment import assign, assign_add, assign_sub
from graphc.ops.bitwise import (
    bitwise_and,
    bitwise_invert,
    bitwise_left_shift,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
)
from graphc.ops.comparison import (
    equal,
    greater,
    greater_equal,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    not_equal,
    signbit,
    where,
)
from graphc.ops.composite import elu, gelu, leaky_relu, log_sigmoid, reciprocal, relu, silu, square
from graphc.ops.cond import cond
from graphc.ops.convolution import conv, conv_transpose
from graphc.ops.creation import (
    arange,
    eye,
    full,
    full_like,
    linspace,
    meshgrid,
    one_hot,
    ones,
    ones_like,
    tril,
    triu,
    zeros,
    zeros_like,
)
from graphc.ops.cross_entropy import binary_cross_entropy_from_logits, cross_entropy
from graphc.ops.cumulative import cumprod, cumsum
from graphc.ops.custom import define_op
from graphc.ops.diagonals import diagonal, trace
from graphc.ops.effects import assert_, check_finite
from graphc.ops.effects import print_ as print
from graphc.ops.einsum import einsum
from graphc.ops.extrema import clip, maximum, minimum
from graphc.ops.gathering import gather, take, take_along_axis
from graphc.ops.indexing import getitem
from graphc.ops.joining import concat, repeat, roll, split, stack, tile, unstack
from graphc.ops.matmul import dot, matmul, outer, tensordot, vecdot
from graphc.ops.movement import (
    broadcast_to,
    expand_dims,
    matrix_transpose,
    moveaxis,
    permute_dims,
    reshape,
    squeeze,
    swapaxes,
)
from graphc.ops.padding import pad
from graphc.ops.pooling import avg_pool, max_pool
from graphc.ops.reductions import all, any, argmax, argmin, max, min, prod, sum
from graphc.ops.replacing import substitute
from graphc.ops.resizing import resize, upsample
from graphc.ops.rounding import abs, ceil, floor, round, sign, trunc
from graphc.ops.scan import scan
from graphc.ops.scattering import scatter_add, scatter_set
from graphc.ops.slicing import flip
from graphc.ops.softmax import log_softmax, logsumexp, softmax
from graphc.ops.sorting import argsort, searchsorted, sort, topk
from graphc.ops.sources import astype, placeholder, variable
from graphc.ops.statistics import mean, std, var
from graphc.ops.transcendental import (
    acos,
    acosh,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    cbrt,
    copysign,
    cos,
    cosh,
    erf,
    erfc,
    exp,
    exp2,
    expm1,
    hypot,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    nextafter,
    rsqrt,
    sigmoid,
    sin,
    sinh,
    softplus,
    sqrt,
    tan,
    tanh,
)
from graphc.ops.while_loop import while_loop
from graphc.passes import register_pass, register_rule
from graphc.passes.gradient import grad, jvp, vjp
from graphc.passes.jacobian import hessian, jacobian
from graphc.session import Session

if typing.TYPE_CHECKING:
    from graphc import data as data
    from graphc import io as io
    from graphc import metrics as metrics
    from graphc import nn as nn
    from graphc import optim as optim
    from graphc import training as training
    from graphc.analysis.nx import to_networkx
    from graphc.inspect.bisect import bisect_passes
    from graphc.inspect.compare import Comparison, compare
    from graphc.inspect.draw import Drawing, draw
    from graphc.io import load, save
    from graphc.training.functional import Model
    from graphc.training.sequential import Sequential

# The library of nets, and tools to look into functions, are imported when they are first used, so that
# `import graphc` stays quick.
_ROOMS = ("data", "io", "metrics", "nn", "optim", "training")
_ON_DEMAND = {
    "Comparison": "graphc.inspect.compare",
    "Drawing": "graphc.inspect.draw",
    "Model": "graphc.training.functional",
    "Sequential": "graphc.training.sequential",
    "bisect_passes": "graphc.inspect.bisect",
    "compare": "graphc.inspect.compare",
    "draw": "graphc.inspect.draw",
    "load": "graphc.io",
    "save": "graphc.io",
    "to_networkx": "graphc.analysis.nx",
}


def __getattr__(name: str) -> object:
    """The room or tool called `name`, imported now."""
    if name in _ROOMS:
        return importlib.import_module(f"graphc.{name}")
    if name not in _ON_DEMAND:
        raise AttributeError(f"module 'graphc' has no attribute {name!r}")
    return globals().setdefault(name, getattr(importlib.import_module(_ON_DEMAND[name]), name))


def __dir__() -> list[str]:
    """All names, those on demand included, for completion."""
    return sorted({*globals(), *_ROOMS, *_ON_DEMAND})


# NumPy's names of the same functions
absolute = abs
arccos = acos
arccosh = acosh
arcsin = asin
arcsinh = asinh
arctan = atan
arctan2 = atan2
arctanh = atanh
power = pow
true_divide = divide
mod = remainder
invert = bitwise_invert
bitwise_not = bitwise_invert
left_shift = bitwise_left_shift
right_shift = bitwise_right_shift
amax = max
amin = min
transpose = permute_dims
concatenate = concat

__all__ = [
    "ArgumentError",
    "CheckError",
    "CodegenError",
    "Comparison",
    "DTypeError",
    "Drawing",
    "FeedError",
    "FlagError",
    "Function",
    "GradientError",
    "Graph",
    "GraphError",
    "GraphcError",
    "IndexOutOfBoundsError",
    "InternalError",
    "LinearAlgebraError",
    "Model",
    "ModelFileError",
    "ParseError",
    "PassError",
    "Sequential",
    "Session",
    "ShapeError",
    "SymbolicUseError",
    "Tensor",
    "Variable",
    "VerifyError",
    "abs",
    "absolute",
    "acos",
    "acosh",
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "add",
    "all",
    "amax",
    "amin",
    "any",
    "arange",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "argmax",
    "argmin",
    "argsort",
    "arguments",
    "asin",
    "asinh",
    "assert_",
    "assign",
    "assign_add",
    "assign_sub",
    "astype",
    "atan",
    "atan2",
    "atanh",
    "avg_pool",
    "binary_cross_entropy_from_logits",
    "bisect_passes",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "broadcast_to",
    "cbrt",
    "ceil",
    "check_finite",
    "clip",
    "compare",
    "concat",
    "concatenate",
    "cond",
    "constant",
    "conv",
    "conv_transpose",
    "copysign",
    "cos",
    "cosh",
    "cross_entropy",
    "cumprod",
    "cumsum",
    "define_op",
    "diagonal",
    "divide",
    "dot",
    "draw",
    "einsum",
    "elu",
    "equal",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expand_dims",
    "expm1",
    "eye",
    "flip",
    "floor",
    "floor_divide",
    "fmod",
    "full",
    "full_like",
    "function",
    "gather",
    "gelu",
    "getitem",
    "global_avg_pool",
    "global_max_pool",
    "grad",
    "greater",
    "greater_equal",
    "hessian",
    "hypot",
    "invert",
    "isfinite",
    "isinf",
    "isnan",
    "jacobian",
    "jvp",
    "leaky_relu",
    "left_shift",
    "less",
    "less_equal",
    "linalg",
    "linspace",
    "load",
    "location",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_sigmoid",
    "log_softmax",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logsumexp",
    "matmul",
    "matrix_transpose",
    "max",
    "max_pool",
    "maximum",
    "mean",
    "meshgrid",
    "min",
    "minimum",
    "mod",
    "moveaxis",
    "multiply",
    "negative",
    "nextafter",
    "not_equal",
    "one_hot",
    "ones",
    "ones_like",
    "outer",
    "pad",
    "parse",
    "permute_dims",
    "placeholder",
    "positive",
    "pow",
    "power",
    "print",
    "prod",
    "random",
    "reciprocal",
    "register_pass",
    "register_rule",
    "relu",
    "remainder",
    "repeat",
    "reshape",
    "resize",
    "right_shift",
    "roll",
    "round",
    "rsqrt",
    "save",
    "scan",
    "scatter_add",
    "scatter_set",
    "searchsorted",
    "sigmoid",
    "sign",
    "signbit",
    "silu",
    "sin",
    "sinh",
    "softmax",
    "softplus",
    "sort",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "stop_gradient",
    "substitute",
    "subtract",
    "sum",
    "swapaxes",
    "take",
    "take_along_axis",
    "tan",
    "tanh",
    "tensordot",
    "tile",
    "to_networkx",
    "topk",
    "trace",
    "transpose",
    "tril",
    "triu",
    "true_divide",
    "trunc",
    "unstack",
    "upsample",
    "var",
    "variable",
    "vecdot",
    "vjp",
    "where",
    "while_loop",
    "zeros",
    "zeros_like",
]
