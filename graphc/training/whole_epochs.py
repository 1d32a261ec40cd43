"""Running the epochs of a `Run` in one call each.

Invariant: rows come in the order in which the loop over steps would get them, and figures are added up as it would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from graphc.training.steps import Steps
from graphc.training.streams import Batch, Examples, stream_of

if TYPE_CHECKING:
    from graphc.training.run import Run


def whole_epochs(
    steps: Steps, examples: Examples, batch_size: int, shuffle: bool, seed: int, drop_last: bool
) -> Callable[[Run], None]:
    """What runs one epoch of a `Run`: the whole batches in one call, what is left in one step.

    The rows come in the order in which `stream_of` would give them.
    """
    full = examples.count // batch_size
    step = steps.train(examples.labels)
    epoch = steps.epoch(examples.labels) if full else None
    batches = stream_of(examples, max(full, 1) * batch_size, shuffle, seed)

    def run_epoch(run: Run) -> None:
        batches.start_at(run.epoch)
        for rows in batches:
            if epoch is not None and len(rows[0]) == full * batch_size:
                stacks = [a.reshape(full, batch_size, *a.shape[1:]) for a in rows]
                losses = run.scores.add_steps(stacks, epoch(*stacks))
                parts: Sequence[Batch] = list(zip(*stacks))
            elif not drop_last:
                losses, parts = [run.scores.add(rows, step(*rows))], [rows]
            else:
                continue
            for number, loss in enumerate(losses):
                if loss != loss:
                    raise run.not_a_number(run.batch + number, parts[number])
            run.batch += len(losses)

    return run_epoch


__all__ = ["whole_epochs"]
