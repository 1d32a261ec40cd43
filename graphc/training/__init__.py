"""Models with compile, fit, evaluate and predict; callbacks; progress."""
