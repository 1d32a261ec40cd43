"""Optimisers and learning-rate schedules: from gradients to updates of variables."""
