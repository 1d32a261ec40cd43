"""What each op means: type rule, NumPy evaluation, gradient, expansion; and the public functions."""
