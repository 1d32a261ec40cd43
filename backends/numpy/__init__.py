"""The interpreter: a graph runs op by op, by each op's NumPy evaluation; it defines what is right."""
