"""Saved models and training checkpoints: text IR and safetensors, never pickle."""
