"""Saved models and training checkpoints: text IR, safetensors and JSON; never pickle."""

from graphc.io.checkpoints import Checkpoints
from graphc.io.loading import LoadedModel, load
from graphc.io.parts import Parts
from graphc.io.saving import save
from graphc.io.weights import load_weights, read_weights, save_weights

__all__ = ["Checkpoints", "LoadedModel", "Parts", "load", "load_weights", "read_weights", "save", "save_weights"]
