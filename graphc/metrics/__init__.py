"""Figures of merit, streamed over batches."""
