"""Model files that were cut, flipped, or rewritten: a model or a typed error comes of them, nothing else."""

from __future__ import annotations

import random
import warnings

import model_files
import numpy as np
import pytest

import graphc as gc


def mutated(data, chance):
    """`data` with a few random changes."""
    data = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        place = chance.randrange(len(data) + 1)
        kind = chance.randrange(6)
        if kind == 0 and place < len(data):
            data[place] ^= 1 << chance.randrange(8)
        elif kind == 1 and place < len(data):
            data[place] = chance.randrange(256)
        elif kind == 2:
            del data[place:]
        elif kind == 3:
            del data[place : place + chance.randrange(1, 20)]
        elif kind == 4:
            data[place:place] = data[chance.randrange(len(data) + 1) :][: chance.randrange(1, 40)]
        else:
            data[place:place] = chance.choice((b"0", b"9" * 30, b"\0", b"-", b'"', b"{", b"[" * 200, b"%x", b"\xff"))
    return bytes(data)


def load_mutated(path, data):
    """What becomes of a file: "model", or the name of the typed error. Anything else is raised."""
    path.write_bytes(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            gc.load(path, backend="numpy")
    except gc.GraphcError as error:
        assert str(error)
        return type(error).__name__
    return "model"


def run(count, tmp_path, seed=0):
    parts, _ = model_files.small_model()
    original = tmp_path / "model.gcm"
    gc.save(original, parts)
    whole = original.read_bytes()
    files, content = model_files.files_of(original)
    outcomes = {}
    for number in range(count):
        chance = random.Random(seed * 1_000_000 + number)
        if number % 4 == 0:  # damage: the checksums must notice
            data = mutated(whole, chance)
        else:  # malice: the checksums fit, so that what was changed is read
            name = chance.choice(sorted(files))
            data = model_files.sealed({**files, name: mutated(files[name], chance)}, content)
        try:
            outcome = load_mutated(tmp_path / "mutated.gcm", data)
        except BaseException as error:
            raise AssertionError(f"mutation {number} with seed {seed}: {error!r}") from error
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    return outcomes


def test_some_mutated_files(tmp_path):
    outcomes = run(300, tmp_path)
    assert outcomes.keys() <= {"ModelFileError", "model"}
    assert outcomes["ModelFileError"] > 150


@pytest.mark.slow
def test_ten_thousand_mutated_files(tmp_path):
    outcomes = run(10_000, tmp_path, seed=1)
    print(outcomes)
    assert outcomes.keys() <= {"ModelFileError", "model"}


def test_every_truncation_is_noticed(tmp_path):
    parts, _ = model_files.small_model()
    gc.save(tmp_path / "model.gcm", parts)
    whole = (tmp_path / "model.gcm").read_bytes()
    for length in (*range(0, len(whole), 37), len(whole) - 1):
        assert load_mutated(tmp_path / "cut.gcm", whole[:length]) == "ModelFileError"


def test_flipped_weights_are_noticed_in_a_folder(tmp_path):
    parts, _ = model_files.small_model()
    gc.save(tmp_path / "model", parts)
    for name in ("weights.safetensors", "predict.gir", "manifest.json", "preprocessing.json"):
        path = tmp_path / "model" / name
        whole = path.read_bytes()
        for place in np.linspace(0, len(whole) - 1, 20).astype(int):
            data = bytearray(whole)
            data[place] ^= 1
            path.write_bytes(data)
            with pytest.raises(gc.ModelFileError):
                gc.load(tmp_path / "model", backend="numpy")
        path.write_bytes(whole)
    gc.load(tmp_path / "model", backend="numpy")


def test_mutated_checkpoints_and_weights(tmp_path):
    v = gc.variable(np.arange(50.0), name="v")
    checkpoint = gc.io.Checkpoints(tmp_path / "run").save({"v": v}, {"step": 3})
    gc.io.save_weights(tmp_path / "w.safetensors", {"v": v})
    whole, weights = checkpoint.read_bytes(), (tmp_path / "w.safetensors").read_bytes()
    for number in range(200):
        chance = random.Random(number)
        checkpoint.write_bytes(mutated(whole, chance))
        found = gc.variable(np.zeros(50))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            position = gc.io.Checkpoints(tmp_path / "run").restore({"v": found})
        # Either the checkpoint is passed over, or it is what was saved.
        assert (position, found.value[49]) in ((None, 0.0), ({"step": 3}, 49.0))
        (tmp_path / "w.safetensors").write_bytes(mutated(weights, chance))
        try:
            gc.io.load_weights(tmp_path / "w.safetensors", {"v": found})
        except gc.ModelFileError as error:
            assert str(error)
