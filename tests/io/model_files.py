"""What the tests of graphc.io share: a small model with all kinds of parts, and its bytes with a sealed manifest."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np

import graphc as gc
from graphc.io import strict_json
from graphc.io.manifest import NAME, entry_of, manifest_bytes


def small_model():
    """A dense net with a large constant, a training step, preprocessing and metadata."""
    random = np.random.default_rng(0)
    x = gc.placeholder(("batch", 4), "float32", name="x")
    t = gc.placeholder(("batch",), "float32", name="t")
    table = gc.constant(random.normal(size=(4, 300)).astype("float32"), name="table")
    w = gc.variable(random.normal(size=(300, 1)).astype("float32"), name="w")
    b = gc.variable(np.zeros(1, "float32"), name="b")
    hidden = gc.tanh(x @ table)
    y = gc.sigmoid(hidden @ w + b)[:, 0]
    loss = gc.mean((y - t) ** 2)
    updates = {v: v - 0.5 * g for v, g in zip((w, b), gc.grad(loss, [w, b]))}
    predict = gc.function([x], {"y": y, "pair": (y, hidden)}, name="net", backend="numpy")
    step = gc.function([x, t], loss, updates=updates, name="step", backend="numpy")
    inputs = random.normal(size=(6, 4)).astype("float32") * 5 + 3
    scaler = gc.data.Pipeline([gc.data.Imputer(), gc.data.StandardScaler()]).fit(inputs)
    parts = gc.io.Parts(
        {"predict": predict, "step": step}, {"dense.weight": w, "dense.bias": b}, [scaler], {"classes": ["a", "b"]}
    )
    return parts, inputs


def files_of(path):
    """The logical files and the content of a saved single-file model."""
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read(NAME))
        files = {name: archive.read(entry["stored_as"]) for name, entry in manifest["files"].items()}
    return files, manifest["content"]


def sealed(files, content, format="graphc model"):
    """The bytes of a single-file model with these files, whose manifest vouches for them."""
    head = manifest_bytes(format, {name: entry_of(name, data) for name, data in files.items()}, content)
    return zipped({NAME: head, **files})


def zipped(files, compression=zipfile.ZIP_STORED):
    """An archive of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def resealed_manifest(manifest):
    """A manifest with the checksum that fits it."""
    import hashlib

    body = {key: value for key, value in manifest.items() if key != "checksum"}
    return strict_json.encode({**body, "checksum": hashlib.sha256(strict_json.canonical(body)).hexdigest()})
