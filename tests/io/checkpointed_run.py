"""A training run that checkpoints after each step and goes on where the last one left off; killed by tests.

    python checkpointed_run.py FOLDER STEPS

prints the number of each step when its checkpoint is there. At the end, FOLDER/result.npz holds all values.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import graphc as gc


def main(folder: Path, steps: int) -> None:
    """Train a small net with momentum and random noise on shuffled, augmented, prefetched batches."""
    random = np.random.default_rng(0)
    inputs = random.normal(size=(50, 6)).astype("float32")
    targets = (inputs.sum(axis=1) > 0).astype("float32")

    def noisy(x, t, *, index, epoch):
        return x + np.float32(0.01) * np.sin(index + epoch, dtype="float32")[:, None], t

    batches = gc.data.from_arrays(inputs, targets).shuffle(seed=3).batch(8).map(noisy, indexed=True).prefetch(2)

    x = gc.placeholder(("batch", 6), "float32", name="x")
    t = gc.placeholder(("batch",), "float32", name="t")
    w = gc.variable(random.normal(size=(6, 4)).astype("float32"), name="w")
    v = gc.variable(random.normal(size=(4,)).astype("float32"), name="v")
    key = gc.variable(np.uint64(7), name="key")
    hidden = gc.tanh(x @ w)
    keep = gc.random.uniform((4,), seed=key) < 0.8
    logits = (hidden * gc.where(keep, gc.constant(1.25, "float32"), gc.constant(0.0, "float32"))) @ v
    loss = gc.mean(gc.binary_cross_entropy_from_logits(logits, t))
    updates = {key: key + gc.constant(1, "uint64")}
    state = {"w": w, "v": v, "key": key}
    for name, parameter in (("w", w), ("v", v)):
        (slope,) = gc.grad(loss, [parameter])
        speed = state[f"momentum.{name}"] = gc.variable(np.zeros(parameter.shape, "float32"), name=f"momentum.{name}")
        updates[speed] = 0.9 * speed - 0.1 * slope
        updates[parameter] = parameter + updates[speed]
    step = gc.function([x, t], loss, updates=updates, backend="numpy")

    checkpoints = gc.io.Checkpoints(folder / "checkpoints", keep=2)
    position = checkpoints.restore(state) or {"step": 0, "data": batches.state()}
    batches.restore(position["data"])
    done = position["step"]
    while done < steps:
        for batch in batches:
            step(*batch)
            done += 1
            checkpoints.save(state, {"step": done, "data": batches.state()})
            print(done, flush=True)
            if done == steps:
                break
    np.savez(folder / "result.npz", **{name: variable.value for name, variable in state.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
