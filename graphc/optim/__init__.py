"""Optimisers, schedules and gradient clipping: update steps as graph code, compiled into the training step.

    optimizer = gc.optim.Adam(0.001)
    step = gc.function([x, y], loss, updates=optimizer.updates(loss, parameters))
"""

from graphc.optim.adam import Adam, AdamW
from graphc.optim.adaptive import Adadelta, Adagrad, RMSProp
from graphc.optim.clipping import clip_by_global_norm, clip_by_norm, clip_by_value, global_norm
from graphc.optim.descent import SGD, GradientDescent
from graphc.optim.nonsmooth import ProximalGradient, Subgradient
from graphc.optim.optimizer import Optimizer, Options
from graphc.optim.penalties import L1, Box, ElasticNet, Penalty, soft_threshold
from graphc.optim.registry import get, names
from graphc.optim.schedules import (
    Constant,
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstant,
    PolynomialDecay,
    Schedule,
    StepDecay,
    Warmup,
)

__all__ = [
    "L1",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Box",
    "Constant",
    "CosineDecay",
    "CosineDecayRestarts",
    "ElasticNet",
    "ExponentialDecay",
    "GradientDescent",
    "InverseTimeDecay",
    "Optimizer",
    "Options",
    "Penalty",
    "PiecewiseConstant",
    "PolynomialDecay",
    "ProximalGradient",
    "RMSProp",
    "Schedule",
    "StepDecay",
    "Subgradient",
    "Warmup",
    "clip_by_global_norm",
    "clip_by_norm",
    "clip_by_value",
    "get",
    "global_norm",
    "names",
    "soft_threshold",
]
