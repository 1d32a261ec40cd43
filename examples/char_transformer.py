"""A small language model of characters, of causal attention, on the English of Python's own documentation.

    python examples/char_transformer.py                                a minute or two; all goes to ./output
    python examples/char_transformer.py --quick                        a tiny net and 20 steps, for tests
    python examples/char_transformer.py --backend numpy --steps 100    by the interpreter, ten times as slow

The text is that of `help("topics")`, in the standard library (`pydoc_data/topics.py`, 0.5 million characters). The last
tenth is held out: how many bits a character costs there is compared with a table of pairs of characters. In the end the
net writes, which is one call: a `gc.scan` whose step is the net.
"""

import argparse
import sys
import time
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.progress import track

import graphc as gc

CONTEXT, BATCH = 64, 16
RATE, DECAY = 3e-3, 0.1


class Block(gc.nn.Layer):
    """x + attention(norm(x)), then x + mlp(norm(x)).

    A. Vaswani and others: Attention Is All You Need, 2017; with the norms before the sublayers, after R. Xiong and
    others: On Layer Normalization in the Transformer Architecture, 2020.
    """

    def __init__(self, units: int, heads: int, **options: Any) -> None:
        super().__init__(**options)
        self.units, self.heads = units, heads
        self.attention = gc.nn.MultiHeadAttention(heads, name=f"{self.name}.attention")
        self.wide = gc.nn.Dense(4 * units, "gelu", name=f"{self.name}.wide")
        self.narrow = gc.nn.Dense(units, name=f"{self.name}.narrow")
        self.norms = [gc.nn.LayerNorm(name=f"{self.name}.norm{i}") for i in range(2)]

    def call(self, x: gc.Tensor) -> gc.Tensor:
        """(batch, time, units) -> the same shape."""
        x = x + self.attention(self.norms[0](x), causal=True)
        return x + self.narrow(self.wide(self.norms[1](x)))


class Transformer(gc.nn.Layer):
    """Characters (batch, time) -> scores of what comes after each of them (batch, time, characters)."""

    def __init__(self, characters: int, units: int, heads: int, blocks: int, **options: Any) -> None:
        super().__init__(**options)
        self.characters, self.units, self.heads = characters, units, heads
        self.embedding = gc.nn.Embedding(characters, units, name="embedding")
        self.places = gc.nn.PositionalEmbedding("learned", length=CONTEXT, name="places")
        self.blocks = [Block(units, heads, name=f"block{i}") for i in range(blocks)]
        self.norm = gc.nn.LayerNorm(name="norm")
        self.out = gc.nn.Dense(characters, name="out")

    def call(self, text: gc.Tensor) -> gc.Tensor:
        """See the class."""
        x = self.places(self.embedding(text))
        for block in self.blocks:
            x = block(x)
        return self.out(self.norm(x))


def bits(net: Transformer, text: gc.Tensor) -> gc.Tensor:
    """-log2 of the probability of each character of the texts (batch, time) but the first."""
    return gc.cross_entropy(net(text[:, :-1]), text[:, 1:]) / float(np.log(2))


def writing(net: Transformer, prompt: gc.Tensor, seed: gc.Tensor, length: int, temperature: float = 0.7) -> gc.Tensor:
    """The characters that the net writes after a prompt of CONTEXT characters.

    argmax(scores + noise) is a draw from softmax(scores) if the noise is of Gumbel's distribution, -log(-log(u)).
    """

    def step(window: gc.Tensor, number: gc.Tensor) -> tuple[list[gc.Tensor], gc.Tensor]:
        scores = net(gc.expand_dims(window, 0))[0, -1] / temperature
        noise = -gc.log(-gc.log(gc.random.uniform(scores.shape, seed=number)))
        chosen = gc.argmax(scores + noise)
        return [gc.concat([window[1:], gc.expand_dims(chosen, 0)]), number + 1], chosen

    return gc.scan(step, init=[prompt, seed], length=length).outputs


def bits_of_pairs(text: np.ndarray, held_out: np.ndarray, characters: int) -> float:
    """What the held-out characters cost when each is foretold from the one before: counts of pairs, plus one."""
    counts = np.ones((characters, characters))
    np.add.at(counts, (text[:-1], text[1:]), 1)
    probability = counts / counts.sum(axis=1, keepdims=True)
    return float(-np.mean(np.log2(probability[held_out[:-1], held_out[1:]])))


def windows(text: np.ndarray) -> np.ndarray:
    """All stretches of the text of CONTEXT + 1 characters, as views."""
    return np.lib.stride_tricks.sliding_window_view(text, CONTEXT + 1)


def train(step: gc.Function, text: np.ndarray, steps: int) -> np.ndarray:
    """Bits per character of the batch at each step."""
    batches = gc.data.from_arrays(windows(text)).shuffle(seed=0).batch(BATCH).repeat().take(steps)
    values, start, every = [], time.perf_counter(), max(1, steps // 10)
    for batch in track(batches, "training", steps, disable=not sys.stdout.isatty()):
        values.append(float(step(*batch)))
        done = len(values)
        if done % every == 0:
            speed = done / (time.perf_counter() - start)
            note = f"{np.mean(values[-every:]):.3f} bits, {speed:.1f} steps/s, {(steps - done) / speed:.0f} s left"
            print(f"  step {done}/{steps}: {note}", flush=True)
    return np.array(values)


def picture(path: Path, values: np.ndarray, schedule: gc.optim.Schedule, pairs: float, held_out: float) -> None:
    """Bits by step, and the learning rate."""
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.plot(values, linewidth=0.5, label="batches")
    axes.axhline(held_out, color="C1", label="held out, in the end")
    axes.axhline(pairs, color="gray", linestyle=":", label="held out, table of pairs")
    axes.set(xlabel="step", ylabel="bits per character")
    axes.legend(loc="upper right")
    rates = axes.twinx()
    rates.plot(schedule.at(np.arange(len(values))), color="C2", linestyle="--")
    rates.set_ylabel("learning rate", color="C2")
    figure.savefig(path)


def main() -> None:
    """Train, measure, write; save, and load again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="llvm", choices=["llvm", "numpy"])
    parser.add_argument("--steps", type=int, default=1200, help="batches to train on (default: 1200)")
    parser.add_argument("--output", type=Path, default=Path("output/char_transformer"), help="folder for results")
    parser.add_argument("--quick", action="store_true", help="a tiny net and 20 steps")
    options = parser.parse_args()
    units, heads, blocks, steps, length = (32, 2, 1, 20, 40) if options.quick else (96, 4, 2, options.steps, 400)
    options.output.mkdir(parents=True, exist_ok=True)

    characters = "".join(topics.values())
    cut = len(characters) * 9 // 10
    vocabulary = gc.data.Vocabulary().fit(characters[:cut])
    text, held_out = vocabulary.transform(characters[:cut]), vocabulary.transform(characters[cut:])
    unseen = windows(held_out)[:: CONTEXT + 1][: 32 if options.quick else None]
    pairs = bits_of_pairs(text, unseen.ravel(), len(vocabulary))

    net = Transformer(len(vocabulary), units, heads, blocks, name="transformer")
    batch = gc.nn.Input(CONTEXT + 1, "int64", name="text")
    with gc.nn.training() as states:
        loss = gc.mean(bits(net, batch))
    warm_up = max(1, steps // 10)
    schedule = gc.optim.Warmup(gc.optim.CosineDecay(RATE, steps - warm_up), warm_up)
    optimizer = gc.optim.AdamW(schedule, weight_decay=DECAY, global_clip_norm=1.0)
    updates = {**optimizer.updates(loss, net.parameters), **states}
    step = gc.function([batch], loss, updates=updates, backend=options.backend, name="step")
    score = gc.function([batch], bits(net, batch), backend=options.backend, name="score")
    print(f"{len(text)} characters to train on, {len(held_out)} held out; {net.parameter_count} parameters")

    values = train(step, text, steps)
    costs = np.concatenate([score(rows) for rows in np.array_split(unseen, -(-len(unseen) // BATCH))])
    print(f"held-out bits per character: {costs.mean():.3f}; of a table of pairs {pairs:.3f}")
    picture(options.output / "char_transformer.png", values, schedule, pairs, float(costs.mean()))

    prompt, seed = gc.placeholder((CONTEXT,), "int64", name="prompt"), gc.placeholder((), "int64", name="seed")
    written = writing(net, prompt, seed, length)
    write = gc.function([prompt, seed], written, backend=options.backend, name="write")
    start = unseen[10, :CONTEXT]
    sample = vocabulary.inverse_transform(write(start, 0))
    print(f"after {vocabulary.inverse_transform(start)!r} the net writes:\n{sample}")

    path = options.output / "char_transformer.gcm"
    parts = gc.io.Parts({"score": score, "write": write}, metadata={"characters": "".join(vocabulary.tokens)})
    gc.save(path, parts)
    for backend in ("llvm", "numpy"):
        loaded = gc.load(path, backend=backend).functions
        difference = float(np.max(np.abs(loaded["score"](unseen[:BATCH]) - score(unseen[:BATCH]))))
        print(f"loaded from {path} for {backend}: largest difference {difference:.1e} bits")
        if backend == options.backend:
            assert difference == 0
            assert vocabulary.inverse_transform(loaded["write"](start, 0)) == sample
        assert difference < 1e-2
    goal = pairs - 1 if steps >= 1000 else np.log2(len(vocabulary))  # the latter is what guessing costs
    assert costs.mean() < goal, f"more than {goal:.2f} bits"


if __name__ == "__main__":
    main()
