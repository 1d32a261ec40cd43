"""Models with compile, fit, evaluate and predict; callbacks; progress.

`gc.Sequential` and `gc.Model` make models of layers. Their `fit` compiles one training step for all batch sizes and
calls it in a loop; callbacks hear of its epochs and steps.
"""

from graphc.training.callbacks import (
    Callback,
    Checkpoint,
    CSVLog,
    EarlyStopping,
    LambdaCallback,
    LearningRateSchedule,
    ReduceOnPlateau,
    SaveBest,
    TensorBoard,
    TerminateOnNaN,
)
from graphc.training.functional import Model
from graphc.training.history import History
from graphc.training.run import Run
from graphc.training.sequential import Sequential
from graphc.training.summary import Summary
from graphc.training.trainable import Trainable

__all__ = [
    "CSVLog",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateSchedule",
    "Model",
    "ReduceOnPlateau",
    "Run",
    "SaveBest",
    "Sequential",
    "Summary",
    "TensorBoard",
    "TerminateOnNaN",
    "Trainable",
]
