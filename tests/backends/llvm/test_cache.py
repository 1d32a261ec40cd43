"""The disk cache: hits and misses and why, and that whatever befalls it, results are right and nothing crashes."""

import ctypes
import errno
import os
import random
import subprocess
import sys
import textwrap
import threading
import warnings

import numpy as np
import platformdirs
import pytest

import graphc as gc
from graphc.__main__ import main
from graphc.backends.llvm import cache as cache_module
from graphc.backends.llvm import cache_entry, codegen, jit
from graphc.backends.llvm.cache import ObjectCache, Reason, describe_usage, key_of, object_cache
from graphc.errors import CacheWarning, CodegenError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no cache there")

ENVIRONMENT = ("x86_64", "a processor", "+avx2", "1.0", "20.1")
KEY = key_of("text", ["f"], 2, ENVIRONMENT)


def text_of(number):
    """The IR of `long f() { return number; }`."""
    return f"define i64 @f() {{\n  ret i64 {number}\n}}\n"


def value_of(library):
    return library.function("f", ctypes.c_int64)()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cold cache that compiled code goes to."""
    place = tmp_path / "cache"
    monkeypatch.setenv("GRAPHC_CACHE", str(place))
    cache_module._cache_at.cache_clear()
    return place


@pytest.fixture
def store(tmp_path):
    return ObjectCache(tmp_path / "cache")


def entry_of(folder):
    (entry,) = folder.glob("*.object")
    return entry


# ---- keys


def test_a_key_tells_apart_all_that_code_depends_on():
    keys = {KEY}
    keys |= {key_of("text ", ["f"], 2, ENVIRONMENT), key_of("text", ["f", "g"], 2, ENVIRONMENT)}
    keys |= {key_of("text", ["f"], 0, ENVIRONMENT), key_of("text", ["fg"], 2, ENVIRONMENT)}
    for position in range(len(ENVIRONMENT)):
        keys.add(key_of("text", ["f"], 2, [*ENVIRONMENT[:position], "other", *ENVIRONMENT[position + 1 :]]))
    assert len(keys) == 5 + len(ENVIRONMENT)


def test_parts_of_a_key_do_not_run_together():
    assert key_of("t", ["ab", "c"], 2, ["d"]) != key_of("t", ["a", "bc"], 2, ["d"])


def test_the_version_of_the_emitter_is_part_of_the_key(monkeypatch):
    monkeypatch.setattr(cache_module, "CODE_VERSION", cache_module.CODE_VERSION + 1)
    assert key_of("text", ["f"], 2, ENVIRONMENT) != KEY


# ---- hit and miss


def test_the_second_time_is_a_hit(folder):
    first, second = (jit.compile_module(text_of(7), ["f"]) for _ in range(2))
    assert [value_of(first), value_of(second)] == [7, 7]
    assert (first.outcome.reason, second.outcome.reason) == (Reason.ABSENT, Reason.HIT)
    assert first.outcome.key == second.outcome.key and first.outcome.not_stored == ""
    assert entry_of(folder).stat().st_mode & 0o777 == 0o600 and folder.stat().st_mode & 0o777 == 0o700


def test_a_hit_needs_no_compiler(folder, monkeypatch):
    jit.compile_module(text_of(7), ["f"])
    monkeypatch.setattr(codegen, "emit_objects", None)
    assert value_of(jit.compile_module(text_of(7), ["f"])) == 7


def test_a_miss_says_that_another_processor_had_the_code(folder, monkeypatch):
    jit.compile_module(text_of(7), ["f"])
    monkeypatch.setattr(jit, "_environment", lambda target: ("another",))
    outcome = jit.compile_module(text_of(7), ["f"]).outcome
    assert outcome.reason is Reason.ABSENT
    assert object_cache().explain(outcome).reason is Reason.ELSEWHERE
    assert object_cache().explain(jit.compile_module(text_of(8), ["f"]).outcome).reason is Reason.ABSENT


def test_off_means_off(folder, monkeypatch):
    monkeypatch.setenv("GRAPHC_CACHE", "off")
    library = jit.compile_module(text_of(7), ["f"])
    assert value_of(library) == 7 and library.outcome.reason is Reason.OFF
    assert not folder.exists()
    assert describe_usage(object_cache().usage()) == "not used: GRAPHC_CACHE=off"


def test_without_a_home_there_is_no_default_folder(monkeypatch):
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: "~/.cache/graphc")
    monkeypatch.setattr(cache_module.Path, "expanduser", lambda path: path)
    monkeypatch.delenv("GRAPHC_CACHE")
    cache_module._cache_at.cache_clear()
    assert object_cache().folder is None
    cache_module._cache_at.cache_clear()


def test_code_that_does_not_link_is_not_kept(folder):
    with pytest.raises(CodegenError, match="nothing"):
        jit.compile_module(text_of(7), ["nothing"])
    assert not list(folder.glob("*")) if folder.exists() else True


# ---- functions


def step(number):
    x = gc.placeholder(("n",), "float64", name="x")
    return gc.function([x], gc.tanh(x) * float(number) + 1.0)


def test_a_function_says_where_its_code_came_from(folder):
    x = np.linspace(-1, 1, 5)
    first, second = step(3), step(3)
    text = first.artifacts["cache"]
    assert text.startswith(f"cache: {folder}\n") and "1 kernels" in text and str(Reason.ABSENT) in text
    assert "in memory" in second.artifacts["cache"] or str(Reason.HIT) in second.artifacts["cache"]
    np.testing.assert_array_equal(first(x), second(x))


_PROGRAM = """
    import sys, numpy as np, graphc as gc
    x = gc.placeholder((None, 8), "float32", name="x")
    w = gc.variable(np.ones((8, 3), "float32"), name="w")
    loss = gc.sum(gc.logsumexp(x @ w, axis=1))
    step = gc.function([x], loss, updates={w: w - gc.grad(loss, [w])[0]})
    for _ in range(2):
        value = step(np.arange(16, dtype="float32").reshape(2, 8) / 16)
    from graphc.backends.llvm import tiers
    tiers.wait()
    print(float(value).hex(), step.artifacts["cache"].count(": hit"), step.artifacts["cache"].count(": miss"))
"""


def start_program(folder, seed="0", **more):
    environment = {**os.environ, "GRAPHC_CACHE": str(folder), "PYTHONHASHSEED": seed, "GRAPHC_NUM_THREADS": "2", **more}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_PROGRAM)], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finished(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert err == ""
    value, hits, misses = out.split()
    return value, int(hits), int(misses)


def test_another_process_loads_the_same_code(folder):
    value, hits, misses = finished(start_program(folder))
    assert hits == 0 and misses > 0
    assert finished(start_program(folder, seed="1")) == (value, misses, 0)


def many_processes(folder, processes, rounds):
    values = set()
    for number in range(rounds):
        place = folder / str(number)
        running = [start_program(place, str(seed)) for seed in range(processes)]
        values |= {finished(process)[0] for process in running}
        assert not list(place.glob("*.part"))
        assert finished(start_program(place))[2] == 0
    assert len(values) == 1


def test_processes_share_a_cold_cache(folder):
    many_processes(folder, processes=4, rounds=1)


@pytest.mark.slow
def test_many_processes_share_a_cold_cache(folder):
    many_processes(folder, processes=16, rounds=50)


def test_threads_share_a_cold_cache(store):
    """Each thread gets what was stored under its key, or nothing."""
    images = {key_of(f"text {i}", [], 2, []): bytes([i]) * 5000 for i in range(8)}
    wrong = []

    def work():
        for key, image in images.items():
            found, _ = store.load(key)
            if found not in (None, image) or store.store(key, image):
                wrong.append(key)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert store.usage().entries == len(images)


# ---- damage


def corrupted(data, chooser):
    """The bytes of an entry, damaged in one of the ways that disks, crashes and people have."""
    position, other = chooser.randrange(len(data)), chooser.randrange(len(data))
    low, high = sorted((position, other))
    bit, step = 1 << chooser.randrange(8), 1 + chooser.randrange(255)
    kind = chooser.choice(("flip", "byte", "cut", "zeros", "grow", "swap", "noise", "empty", "double", "text"))
    return {
        "flip": lambda: data[:position] + bytes([data[position] ^ bit]) + data[position + 1 :],
        "byte": lambda: data[:position] + bytes([(data[position] + step) % 256]) + data[position + 1 :],
        "cut": lambda: data[:position],
        "zeros": lambda: data[:low] + bytes(len(data) - low),
        "grow": lambda: data + chooser.randbytes(1 + chooser.randrange(100)),
        "swap": lambda: data[low:high] + data[:low] + data[high:],
        "noise": lambda: chooser.randbytes(len(data)),
        "empty": lambda: b"",
        "double": lambda: data + data,
        "text": lambda: b"<html>404 not found</html>",
    }[kind]()


def corruptions(folder, count):
    value = value_of(jit.compile_module(text_of(41), ["f"]))
    entry = entry_of(folder)
    good = entry.read_bytes()
    for seed in range(count):
        bad = corrupted(good, random.Random(seed))
        entry.write_bytes(bad)
        cache_module._cache_at.cache_clear()  # as in a new process
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            library = jit.compile_module(text_of(41), ["f"])
        assert value_of(library) == value, seed
        expected = Reason.HIT if bad == good else Reason.DAMAGED
        assert library.outcome.reason is expected, seed
        assert [w.category for w in caught] == ([] if bad == good else [CacheWarning]), seed
        assert entry.read_bytes() == good, f"seed {seed}: not overwritten"


def test_damaged_entries_are_compiled_anew(folder):
    corruptions(folder, 60)


@pytest.mark.slow
def test_many_damaged_entries_are_compiled_anew(folder):
    corruptions(folder, 1000)


def test_every_byte_of_the_header_counts(store):
    assert store.store(KEY, b"code") == ""
    entry = entry_of(store.folder)
    good = entry.read_bytes()
    store._warned.update(Reason)  # nothing to hear here
    for position in range(len(good)):
        entry.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        assert store.load(KEY)[1].reason is Reason.DAMAGED, position
    entry.write_bytes(good)
    assert store.load(KEY)[0] == b"code"


def test_one_warning_for_many_damaged_entries_at_the_users_line(folder):
    for number in range(5):
        jit.compile_module(text_of(number), ["f"])
    for entry in folder.glob("*.object"):
        entry.write_bytes(b"damaged")
    with pytest.warns(CacheWarning, match="does not begin|has 7 bytes") as caught:
        assert [value_of(jit.compile_module(text_of(n), ["f"])) for n in range(5)] == list(range(5))
    assert len(caught) == 1 and caught[0].filename == __file__


def test_an_entry_under_a_foreign_name_is_not_loaded(folder):
    jit.compile_module(text_of(1), ["f"])
    entry = entry_of(folder)
    data = entry.read_bytes()
    key = jit.compile_module(text_of(2), ["f"]).outcome.key
    (folder / f"{key}.object").write_bytes(data)
    with pytest.warns(CacheWarning, match="checksum"):
        assert value_of(jit.compile_module(text_of(2), ["f"])) == 2


def test_sound_entries_that_hold_no_object_code_are_compiled_anew(folder):
    key = jit.compile_module(text_of(1), ["f"]).outcome.key
    for image in (b"", b"\x7fELF\x02 but no more", b"plain text"):
        assert object_cache().store(key, image) == ""
        cache_module._cache_at.cache_clear()
        with pytest.warns(CacheWarning):
            library = jit.compile_module(text_of(1), ["f"])
        assert value_of(library) == 1 and library.outcome.reason is Reason.DAMAGED


# ---- who may write


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702, 0o1777])
def test_a_folder_that_others_can_write_is_not_used(folder, mode):
    jit.compile_module(text_of(1), ["f"])
    folder.chmod(mode)
    with pytest.warns(CacheWarning, match="chmod go-w") as caught:
        libraries = [jit.compile_module(text_of(n), ["f"]) for n in (1, 2)]
    assert [value_of(library) for library in libraries] == [1, 2] and len(caught) == 1
    assert {library.outcome.reason for library in libraries} == {Reason.UNSAFE_FOLDER}
    assert len(list(folder.iterdir())) == 1  # nor is anything written there
    assert "may be written by others" in describe_usage(object_cache().usage())
    folder.chmod(0o755)  # others may read it
    assert jit.compile_module(text_of(1), ["f"]).outcome.reason is Reason.HIT


@pytest.mark.parametrize("mode", [0o602, 0o660, 0o666])
def test_a_file_that_others_can_write_is_not_loaded(folder, mode):
    jit.compile_module(text_of(1), ["f"])
    entry_of(folder).chmod(mode)
    with pytest.warns(CacheWarning, match="may be written by others"):
        library = jit.compile_module(text_of(1), ["f"])
    assert value_of(library) == 1 and library.outcome.reason is Reason.UNSAFE_FILE
    assert entry_of(folder).stat().st_mode & 0o777 == 0o600  # its place is taken by one of our own


def test_what_belongs_to_another_user_is_not_loaded(folder, monkeypatch):
    jit.compile_module(text_of(1), ["f"])
    actual = os.fstat(os.open(folder, os.O_RDONLY)).st_uid
    monkeypatch.setattr(cache_module.os, "geteuid", lambda: actual + 1000)
    status = os.stat_result((0o100600, 0, 0, 1, actual + 1, 0, 10, 0, 0, 0))
    assert cache_entry.complaint_about(status) == f"belongs to user {actual + 1}"
    status = os.stat_result((0o100600, 0, 0, 1, 0, 0, 10, 0, 0, 0))
    assert cache_entry.complaint_about(status) == ""  # root could do anything anyway


def test_links_and_pipes_are_not_loaded(folder, tmp_path):
    jit.compile_module(text_of(1), ["f"])
    entry = entry_of(folder)
    moved = tmp_path / "elsewhere"
    entry.rename(moved)
    entry.symlink_to(moved)
    with pytest.warns(CacheWarning, match="symbolic link"):
        assert jit.compile_module(text_of(1), ["f"]).outcome.reason is Reason.UNSAFE_FILE
    entry.unlink()
    os.mkfifo(entry, 0o600)
    cache_module._cache_at.cache_clear()
    with pytest.warns(CacheWarning, match="regular file"):
        assert jit.compile_module(text_of(1), ["f"]).outcome.reason is Reason.DAMAGED
    assert jit.compile_module(text_of(1), ["f"]).outcome.reason is Reason.HIT


# ---- what the system refuses


def refuse(monkeypatch, name, number):
    def fails(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(cache_module.os, name, fails)


@pytest.mark.parametrize("call", ["write", "fsync", "replace", "makedirs"])
def test_a_full_disk_is_one_warning_and_leaves_nothing_behind(folder, call):
    with pytest.MonkeyPatch.context() as patch, pytest.warns(CacheWarning, match="No space left") as caught:
        refuse(patch, call, errno.ENOSPC)
        libraries = [jit.compile_module(text_of(n), ["f"]) for n in (1, 2)]
    assert [value_of(library) for library in libraries] == [1, 2] and len(caught) == 1
    assert libraries[0].outcome.not_stored == "No space left on device"
    assert not folder.exists() or list(folder.iterdir()) == []


def test_a_disk_that_fills_up_in_the_middle_of_an_entry(store, monkeypatch):
    written = []

    def short(descriptor, data):
        if written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(real(descriptor, data[:10]))
        return written[0]

    real = os.write
    assert store.store(KEY, b"old") == ""
    monkeypatch.setattr(cache_module.os, "write", short)
    with pytest.warns(CacheWarning):
        assert "No space" in store.store(KEY, b"new" * 100)
    monkeypatch.undo()
    assert store.load(KEY)[0] == b"old"
    assert len(list(store.folder.iterdir())) == 1


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_read_only_folder_is_used_without_a_word(folder, monkeypatch, number):
    jit.compile_module(text_of(1), ["f"])
    real = os.open

    def read_only(path, flags, *args, **kwargs):
        if flags & os.O_CREAT:
            raise OSError(number, os.strerror(number))
        return real(path, flags, *args, **kwargs)

    monkeypatch.setattr(cache_module.os, "open", read_only)
    monkeypatch.setattr(cache_module.os, "supports_dir_fd", {read_only})
    refuse(monkeypatch, "utime", number)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hit, miss = (jit.compile_module(text_of(n), ["f"]) for n in (1, 2))
    assert hit.outcome.reason is Reason.HIT
    assert value_of(miss) == 2 and miss.outcome.not_stored == os.strerror(number)


def test_an_unreadable_entry_is_compiled_anew(folder, monkeypatch):
    jit.compile_module(text_of(1), ["f"])

    def broken(*args):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(cache_module, "read_entry", broken)
    with pytest.warns(CacheWarning, match="Input/output error"):
        assert jit.compile_module(text_of(1), ["f"]).outcome.reason is Reason.UNREADABLE


def test_a_file_where_the_folder_should_be(folder):
    folder.write_text("not a folder")
    with pytest.warns(CacheWarning):
        assert value_of(jit.compile_module(text_of(1), ["f"])) == 1
    assert folder.read_text() == "not a folder"


# ---- size


def filled(store, count, size):
    """That many entries, the first one used longest ago."""
    keys = [key_of(str(n), [], 2, []) for n in range(count)]
    for number, key in enumerate(keys):
        assert store.store(key, bytes(size)) == ""
        os.utime(store.folder / f"{key}.object", (1e9 + 1000 * number,) * 2)
    return keys


def test_what_was_not_used_for_longest_goes_first(tmp_path):
    store = ObjectCache(tmp_path / "cache", limit=10_000)
    keys = filled(store, 12, 1000)
    assert store.load(keys[0])[1].reason is Reason.HIT  # now it is the one used last
    store.evict()
    left = [n for n, key in enumerate(keys) if store.load(key)[1].reason is Reason.HIT]
    assert left == [0, 5, 6, 7, 8, 9, 10, 11]
    assert store.usage().size <= 9000


def test_a_cache_below_its_limit_is_left_alone(tmp_path):
    store = ObjectCache(tmp_path / "cache", limit=20_000)
    filled(store, 12, 1000)
    store.evict()
    assert store.usage().entries == 12


def test_writes_look_at_the_size_now_and_then(tmp_path, monkeypatch):
    store = ObjectCache(tmp_path / "cache", limit=10_000)
    filled(store, 12, 1000)
    monkeypatch.setattr(cache_module, "_LOOK_AT", "")
    store.store(KEY, bytes(1000))
    assert store.usage().size <= 9000 and store.load(KEY)[0] == bytes(1000)


def test_only_old_unfinished_files_are_swept(store):
    store.store(KEY, b"code")
    fresh, stale, foreign = (store.folder / f"{KEY}.{n}.part" for n in ("0a", "0b", "notes"))
    for file in (fresh, stale, foreign):
        file.write_bytes(b"half")
    os.utime(stale, (1e9, 1e9))
    store.evict()
    assert fresh.exists() and not stale.exists() and foreign.exists()


def test_an_entry_larger_than_the_cache_is_not_read(tmp_path):
    store = ObjectCache(tmp_path / "cache", limit=1000)
    store.store(KEY, bytes(2000))
    with pytest.warns(CacheWarning, match="larger"):
        assert store.load(KEY)[0] is None


# ---- the command line


def test_info_and_clear(folder, capsys):
    assert main(["cache", "info"]) == 0
    assert capsys.readouterr().out == f"{folder}: 0 entries, 0 bytes of at most 1.1 GB\n"
    jit.compile_module(text_of(1), ["f"])
    (folder / "mine.txt").write_text("not an entry")
    assert main(["cache", "info"]) == 0
    assert capsys.readouterr().out.startswith(f"{folder}: 1 entries, ")
    assert main(["cache", "clear"]) == 0
    assert capsys.readouterr().out.startswith("1 entries removed, ")
    assert [file.name for file in folder.iterdir()] == ["mine.txt"]
    assert main(["cache", "clear"]) == 0


def test_a_cache_that_is_not_used_is_not_cleared(folder, capsys):
    jit.compile_module(text_of(1), ["f"])
    folder.chmod(0o777)
    assert main(["cache", "clear"]) == 1
    assert "may be written by others" in capsys.readouterr().out
    assert len(list(folder.iterdir())) == 1
