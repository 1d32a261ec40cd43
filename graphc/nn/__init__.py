"""Layers, initialisers, normalisation and losses of neural networks, on the public functions of graphc alone."""
