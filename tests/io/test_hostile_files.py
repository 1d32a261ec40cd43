"""Files made to harm: bombs, paths that lead out, lengths that lie, nesting, doubled keys, links, pipes."""

from __future__ import annotations

import io
import json
import os
import struct
import time
import zipfile

import model_files
import numpy as np
import pytest
from model_files import files_of, resealed_manifest, sealed, zipped

import graphc as gc
from graphc.io.manifest import NAME


@pytest.fixture
def model(tmp_path):
    """The files and the content of a good model."""
    parts, _ = model_files.small_model()
    gc.save(tmp_path / "good.gcm", parts)
    return files_of(tmp_path / "good.gcm")


def refused(path, data=None, match=None):
    """Loading is refused by a typed error, quickly."""
    if data is not None:
        path.write_bytes(data)
    begin = time.process_time()
    with pytest.raises(gc.ModelFileError, match=match):
        gc.load(path, backend="numpy")
    assert time.process_time() - begin < 2


def tensors(header, body=b"", length=None):
    """A safetensors file with this header, whatever it says."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + body


def entry(dtype="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


BAD_TENSORS = {
    "empty": b"",
    "header longer than the file": tensors({}, length=2**63),
    "header longer than what is read": tensors({}, length=17 * 2**20),
    "header cut": tensors({"w": entry()}, length=5),
    "no object": tensors(b"[]"),
    "deep": tensors(b"[" * 5000 + b"]" * 5000),
    "doubled key": tensors(b'{"w": 1, "w": 2}'),
    "NaN": tensors(b'{"w": NaN}'),
    "infinite": tensors(b'{"w": 1e999}'),
    "long number": tensors(b'{"w": ' + b"1" * 10000 + b"}"),
    "not UTF-8": tensors(b'{"\xff": 1}'),
    "huge shape": tensors({"w": entry(shape=(2**62,), offsets=(0, 4))}, bytes(4)),
    "product beyond 64 bits": tensors({"w": entry(shape=(2**32, 2**32, 2**32), offsets=(0, 4))}, bytes(4)),
    "negative size": tensors({"w": entry(shape=(-1, -4), offsets=(0, 16))}, bytes(16)),
    "size is a boolean": tensors({"w": entry(shape=(True,))}, bytes(4)),
    "size is a float": tensors({"w": entry(shape=(1.0,))}, bytes(4)),
    "too many axes": tensors({"w": entry(shape=(1,) * 65)}, bytes(4)),
    "offsets swapped": tensors({"w": entry(offsets=(4, 0))}, bytes(4)),
    "offsets beyond the end": tensors({"w": entry(offsets=(2**40, 2**40 + 4))}, bytes(4)),
    "overlap": tensors({"w": entry(), "v": entry()}, bytes(4)),
    "gap": tensors({"w": entry(), "v": entry(offsets=(8, 12))}, bytes(12)),
    "bytes left over": tensors({"w": entry()}, bytes(8)),
    "unknown dtype": tensors({"w": entry("F16", (2,))}, bytes(4)),
    "unknown entry": tensors({"w": {**entry(), "code": "x"}}, bytes(4)),
    "no bool": tensors({"w": entry("BOOL", (4,))}, b"\0\1\2\0"),
    "metadata are no texts": tensors({"__metadata__": {"a": [1]}}),
}


@pytest.mark.parametrize("name", BAD_TENSORS)
def test_bad_safetensors(name, tmp_path, model):
    files, content = model
    refused(tmp_path / "m.gcm", sealed({**files, "weights.safetensors": BAD_TENSORS[name]}, content))
    (tmp_path / "w.safetensors").write_bytes(BAD_TENSORS[name])
    with pytest.raises(gc.ModelFileError):
        gc.io.read_weights(tmp_path / "w.safetensors")


def graph(*lines, parameters="%x: f32[batch,4]"):
    return ("graph @g(" + parameters + ") {\n" + "\n".join(lines) + "\n  return %0\n}\n").encode()


def nested(depth):
    text = "graph @body(%p: f32[]) {\n  return %p\n}"
    for _ in range(depth):
        text = f"graph @body(%p: f32[]) {{\n  %0 = fused %p : f32[] {{\n{text}\n}}\n  return %0\n}}"
    return text.replace("body", "g", 1).encode()


BAD_GRAPHS = {
    "not UTF-8": b"\xff\xfe",
    "empty": b"",
    "an op that is not defined": graph("  %0 = os.system %x : f32[batch,4]"),
    "a variable without an array": graph("  %0 = variable : f32[1000000000000]"),
    "a variable of another type": graph("  %0 = add %x, %x : f32[batch,4]", "  %dense.weight = variable : f32[9,9]"),
    "graphs in graphs": nested(100),
    "brackets in brackets": graph("  %0 = const {value=" + "[" * 9000 + "]" * 9000 + "} : f32[1]"),
    "a size that nests": graph("  %0 = add %x, %x : f32[" + "(" * 9000 + "n" + ")" * 9000 + ",4]"),
    "a constant larger than its text": graph("  %0 = const {value=[1.0]} : f32[1000000000000]"),
    "constant bytes that are too few": graph('  %0 = const {value=bytes("AAAA")} : f32[1000000000000]'),
    "a line without end": graph("  %0 = add %x, %x : f32[batch,4]   # " + ":1, " * 500_000 + ","),
}


@pytest.mark.parametrize("name", BAD_GRAPHS)
def test_bad_graphs(name, tmp_path, model):
    files, content = model
    content = {**content, "functions": {**content["functions"], "predict": 0}}
    data = sealed({**files, "predict.gir": BAD_GRAPHS[name]}, content)
    if name == "a line without end":  # a strange comment is harmless; it must not take long
        (tmp_path / "m.gcm").write_bytes(data)
        gc.load(tmp_path / "m.gcm", backend="numpy")
    else:
        refused(tmp_path / "m.gcm", data)


def test_huge_sizes_in_ops_take_no_memory_when_loaded(tmp_path, model):
    files, content = model
    text = graph(
        "  %1 = const {value=1.0} : f32[]",
        "  %0 = broadcast_to %1 {shape=(1000000000000,)} : f32[1000000000000]",
    )
    content = {**content, "functions": {**content["functions"], "predict": 0}}
    (tmp_path / "m.gcm").write_bytes(sealed({**files, "predict.gir": text}, content))
    try:
        gc.load(tmp_path / "m.gcm", backend="numpy")
    except gc.ModelFileError as error:
        assert "compiled" in str(error)


def test_a_graph_must_not_update_a_constant(tmp_path, model):
    files, content = model
    text = files["step.gir"].decode()
    assert "%table = variable" in text
    text = text.replace("  update %dense.weight,", "  update %table, %table\n  update %dense.weight,")
    refused(tmp_path / "m.gcm", sealed({**files, "step.gir": text.encode()}, content), "updates a constant")


BAD_CONTENT = {
    "no functions": {"functions": []},
    "no dict": {"functions": {"predict": {"list": 0}, "step": 0}},
    "an output twice": {"functions": {"predict": [0, 0, 1], "step": 0}},
    "an output too many": {"functions": {"predict": [0, 1, 2, 3], "step": 0}},
    "an output too few": {"functions": {"predict": [0, 1], "step": 0}},
    "a function without a file": {"functions": {"predict": 0, "step": 0, "other": 0}},
    "a function whose name is a path": {"functions": {"../predict": 0, "step": 0}},
    "a constant without an array": {"constants": ["nothing"]},
    "constants are no list": {"constants": {"table": 1}},
    "a surplus": {"code": "import os"},
}


@pytest.mark.parametrize("name", BAD_CONTENT)
def test_bad_content(name, tmp_path, model):
    files, content = model
    refused(tmp_path / "m.gcm", sealed(files, {**content, **BAD_CONTENT[name]}))


BAD_STEPS = {
    "no list": {"type": "StandardScaler"},
    "no such transformer": [{"type": "os.system", "state": {}}],
    "no state": [{"type": "StandardScaler"}],
    "another state": [{"type": "StandardScaler", "state": {"mean": 1}}],
    "an array that is not there": [{"type": "Imputer", "state": {"values": {"$array": "x"}}}],
    "steps in steps": [{"type": "Pipeline", "state": {"steps": [["Pipeline", {"steps": [[1, 2]]}]]}}],
    "wrong kinds": [{"type": "OneHotEncoder", "state": {"unknown": 1, "dtype": [], "flat": 3, "categories": 4}}],
    "a category that is a list": [
        {"type": "OrdinalEncoder", "state": {"unknown": "error", "flat": True, "categories": [[[1]]]}}
    ],
}


@pytest.mark.parametrize("name", BAD_STEPS)
def test_bad_preprocessing(name, tmp_path, model):
    files, content = model
    data = json.dumps(BAD_STEPS[name]).encode()
    refused(tmp_path / "m.gcm", sealed({**files, "preprocessing.json": data}, content), "preprocessing.json")


def change_manifest(model, change):
    files, content = model
    with zipfile.ZipFile(io.BytesIO(sealed(files, content))) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(parts[NAME])
    change(manifest)
    parts[NAME] = resealed_manifest(manifest)
    return zipped(parts)


BAD_MANIFESTS = {
    "a path that leads out": lambda m: m["files"]["step.gir"].update(stored_as="../../etc/passwd"),
    "an absolute path": lambda m: m["files"]["step.gir"].update(stored_as="/etc/passwd"),
    "a hidden file": lambda m: m["files"]["step.gir"].update(stored_as=".ssh"),
    "two files in one": lambda m: m["files"]["step.gir"].update(stored_as="predict.gir"),
    "itself": lambda m: m["files"]["step.gir"].update(stored_as="manifest.json"),
    "a negative length": lambda m: m["files"]["step.gir"].update(length=-1),
    "an enormous length": lambda m: m["files"]["step.gir"].update(length=2**62),
    "a length that is a boolean": lambda m: m["files"]["step.gir"].update(length=True),
    "another hash": lambda m: m["files"]["step.gir"].update(sha256="0" * 64),
    "files are no dict": lambda m: m.update(files=[]),
    "another version": lambda m: m.update(version=2),
    "another format": lambda m: m.update(format="graphc checkpoint"),
    "a format that is no text": lambda m: m.update(format=[]),
    "surplus keys": lambda m: m.update(code="import os"),
}


@pytest.mark.parametrize("name", BAD_MANIFESTS)
def test_bad_manifests(name, tmp_path, model):
    refused(tmp_path / "m.gcm", change_manifest(model, BAD_MANIFESTS[name]))


def test_a_changed_manifest_is_noticed(tmp_path):
    parts, _ = model_files.small_model()
    gc.save(tmp_path / "model", parts)
    path = tmp_path / "model" / NAME
    path.write_text(path.read_text().replace('"b"', '"c"'))
    refused(tmp_path / "model", match="checksum")


# ---- archives --------------------------------------------------------------------------------------------


def test_compressed_archives_are_refused_unread(tmp_path):
    bomb = zipped({NAME: b"{}", "weights.safetensors": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 100_000
    refused(tmp_path / "m.gcm", bomb)


def test_a_size_that_lies_is_refused(tmp_path, model):
    files, content = model
    data = bytearray(sealed(files, content))
    place = data.rindex(b"PK\1\2")  # the last entry of the directory: its sizes
    data[place + 20 : place + 28] = struct.pack("<II", 2**31, 2**31)
    refused(tmp_path / "m.gcm", bytes(data), "larger than itself")


def test_overlapping_entries_are_refused(tmp_path, model):
    """Many names for the same bytes: "a better zip bomb" (Fifield, 2019)."""
    archive = bytearray(zipped({"a": bytes(10_000), "b": b"x"}))
    second = archive.rindex(b"PK\1\2")
    archive[second + 20 : second + 28] = struct.pack("<II", 10_000, 10_000)
    archive[second + 42 : second + 46] = struct.pack("<I", 0)
    refused(tmp_path / "m.gcm", bytes(archive))


def test_doubled_and_surplus_names_are_refused(tmp_path, model):
    files, content = model
    buffer = io.BytesIO(sealed(files, content))
    with pytest.warns(UserWarning), zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("step.gir", files["step.gir"])
    refused(tmp_path / "m.gcm", buffer.getvalue(), "one name")
    buffer = io.BytesIO(sealed(files, content))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("../../evil", b"x")
    refused(tmp_path / "m.gcm", buffer.getvalue(), "not in its manifest")
    assert not (tmp_path.parent / "evil").exists()


def test_what_is_no_archive(tmp_path):
    refused(tmp_path / "nothing.gcm", match="no such file")
    refused(tmp_path / "empty.gcm", b"")
    refused(tmp_path / "pickle.gcm", b"\x80\x04\x95")
    (tmp_path / "folder").mkdir()
    refused(tmp_path / "folder", match="no saved model")


# ---- folders ---------------------------------------------------------------------------------------------


def test_links_are_refused(tmp_path):
    parts, _ = model_files.small_model()
    gc.save(tmp_path / "model", parts)
    path = tmp_path / "model" / "weights.safetensors"
    outside = tmp_path / "outside.safetensors"
    path.rename(outside)
    path.symlink_to(outside)
    refused(tmp_path / "model", match="link")
    path.unlink()
    outside.rename(path)
    (tmp_path / "linked").symlink_to(tmp_path / "model")  # a link to the model as a whole is the user's own
    gc.load(tmp_path / "linked", backend="numpy")


def test_pipes_and_folders_in_place_of_files_are_refused(tmp_path):
    parts, _ = model_files.small_model()
    gc.save(tmp_path / "model", parts)
    for make in (os.mkfifo, os.mkdir):
        path = tmp_path / "model" / "weights.safetensors"
        kept = path.read_bytes() if path.is_file() else kept  # noqa: F821
        path.unlink() if path.exists() and not path.is_dir() else None
        make(path)
        refused(tmp_path / "model")
        path.rmdir() if path.is_dir() else path.unlink()
        path.write_bytes(kept)
    gc.load(tmp_path / "model", backend="numpy")
    os.mkfifo(tmp_path / "pipe.gcm")
    refused(tmp_path / "pipe.gcm", match="plain file")


@pytest.mark.parametrize("path", [3, None, "a\0b", b"\xff\0", object(), "\ud800"])
def test_what_is_no_path(path):
    with pytest.raises(gc.GraphcError):
        gc.load(path)
    with pytest.raises(gc.GraphcError):
        gc.save(path, gc.function([], gc.constant(1.0), backend="numpy"))


def test_a_good_model_loads(tmp_path, model):
    files, content = model
    (tmp_path / "m.gcm").write_bytes(sealed(files, content))
    assert gc.load(tmp_path / "m.gcm", backend="numpy").predict(np.ones((2, 4)))["y"].shape == (2,)
