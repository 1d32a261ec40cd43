"""Whole epochs in one native call: the training step as the body of a `gc.scan` over an epoch's batches.

    step     x, y                 --> losses;   w <- w', m <- m', ...
    epoch    xs [steps, batch, ..], ys [steps, batch, ..]
             scan: states w, m, ...; sequences xs, ys     --> losses [steps];   w <- last w, m <- last m, ...

Invariant: the body is the graph of the training step, with the states in place of the variables, so an epoch's results
are, to the bit, those of its steps called one by one.
"""

from __future__ import annotations

import graphc as gc


def epoch_of(step: gc.Function) -> gc.Function:
    """The function that calls a training step for each entry of stacked inputs, as one loop.

    Args:
        step: a function with updates, such as `model.step`, whose outputs are a list.

    Returns:
        A function of the same inputs, each with one more axis in front, that gives the same outputs, stacked, and
        updates the same variables.

    >>> import graphc as gc
    >>> x = gc.placeholder((), "float64", name="x")
    >>> total = gc.variable(0.0, name="total")
    >>> epoch = epoch_of(gc.function([x], [total], updates={total: total + x}, backend="numpy"))
    >>> epoch([1.0, 2.0, 3.0]), total.value
    ([array([0., 1., 3.])], array(6.))
    """
    graph = step.graph
    stacked = [gc.placeholder(("steps", *t.shape), t.dtype, name=t.name) for t in graph.inputs]
    variables = [variable for variable, _ in graph.updates]

    def body(*parameters: gc.Tensor) -> tuple[list[gc.Tensor], list[gc.Tensor]]:
        replaced = dict(zip([*graph.inputs, *variables], parameters))
        results = gc.substitute([*graph.outputs, *(value for _, value in graph.updates)], replaced)
        return results[len(graph.outputs) :], results[: len(graph.outputs)]

    loop = gc.scan(body, sequences=stacked, init=variables)
    updates = dict(zip(variables, loop.last))
    return gc.function(stacked, loop.outputs, updates=updates, backend=step.backend, name=f"{step.name}_epoch")


__all__ = ["epoch_of"]
