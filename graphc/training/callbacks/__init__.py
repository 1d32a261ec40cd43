"""What `fit` can call at epochs and steps: stopping, saving, learning rates, logs."""

from graphc.training.callbacks.base import Callback
from graphc.training.callbacks.checkpoint import Checkpoint, SaveBest
from graphc.training.callbacks.csv_log import CSVLog
from graphc.training.callbacks.early_stopping import EarlyStopping
from graphc.training.callbacks.lambdas import LambdaCallback
from graphc.training.callbacks.learning_rate import LearningRateSchedule, ReduceOnPlateau
from graphc.training.callbacks.nan import TerminateOnNaN
from graphc.training.callbacks.tensorboard import TensorBoard

__all__ = [
    "CSVLog",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "LambdaCallback",
    "LearningRateSchedule",
    "ReduceOnPlateau",
    "SaveBest",
    "TensorBoard",
    "TerminateOnNaN",
]
