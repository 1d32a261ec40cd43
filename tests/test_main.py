"""The command line, called as a function: what it prints, where, and its exit status."""

import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import graphc as gc
from graphc.__main__ import main
from graphc.inspect.doctor import cgroup_quota

MODEL = '''
import numpy as np
import graphc as gc

x = gc.placeholder(("batch", 4), "float32", name="x")
t = gc.placeholder(("batch",), "int64", name="t")
w = gc.variable(np.ones((4, 3), "float32"), name="w")
loss = gc.mean(gc.cross_entropy(x @ w, t))
(dw,) = gc.grad(loss, [w])
step = gc.function([x, t], loss, updates={w: w - 0.1 * dw}, name="step")
class holder:
    double = gc.function([x], {"y": x * 2.0}, backend="numpy", name="double")
number = 3
'''


def written_step():
    """The text of the model's step, without compiling it."""
    x = gc.placeholder(("batch", 4), "float32", name="x")
    t = gc.placeholder(("batch",), "int64", name="t")
    w = gc.variable(np.ones((4, 3), "float32"), name="w")
    loss = gc.mean(gc.cross_entropy(x @ w, t))
    (dw,) = gc.grad(loss, [w])
    return gc.function([x, t], loss, updates={w: w - 0.1 * dw}, backend="numpy", name="step").dump()


STEP = written_step()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with `model.py`, which no other test has imported, and `step.gir`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "model", raising=False)
    (tmp_path / "model.py").write_text(MODEL)
    return tmp_path


@pytest.fixture
def graphc(folder, capsys):
    """Runs a command: (status, standard output, standard error)."""

    def run(*arguments):
        try:
            status = main([str(a) for a in arguments])
        except SystemExit as exit:
            status = exit.code
        return (status, *capsys.readouterr())

    (folder / "step.gir").write_text(STEP)
    return run


def test_help_teaches(graphc):
    status, out, _ = graphc("--help")
    assert status == 0 and "graphc dump model:step > step.gir" in out
    for command in ("dump", "opt", "run", "compare", "profile", "draw"):
        status, out, _ = graphc(command, "--help")
        assert status == 0 and "examples:" in out and f"graphc {command} " in out
    assert graphc("--version")[1].startswith("graphc ")


def test_dump_stages_and_differences(graphc):
    status, out, _ = graphc("dump", "step.gir", "--no-locations")
    assert status == 0 and out.startswith("graph @step(%x: f32[batch,4]") and "#" not in out
    assert "fused" in graphc("dump", "step.gir", "--stage", "fuse")[1]
    assert graphc("dump", "model:step", "--stage", "final") == graphc("dump", "model:step", "--stage", "fuse")
    assert "fused" not in graphc("dump", "step.gir", "--stage", "final", "--skip", "fuse")[1]
    out = graphc("dump", "step.gir", "--diff", "cse", "fuse")[1]
    assert out.startswith("--- cse\n+++ fuse\n") and "\n+  %" in out
    out = graphc("dump", "step.gir", "--stages")[1]
    assert "rules fired" in out and "decompose" in out
    assert "plan of step" in graphc("dump", "step.gir", "--artifact", "plan")[1]
    assert "define" in graphc("dump", "model:step", "--artifact", "llvm")[1]


def test_text_from_a_function_and_from_its_file_are_the_same(graphc):
    assert graphc("dump", "step.gir")[1] == STEP
    texts = [graphc("dump", target, "--no-locations")[1] for target in ("model:step", "step.gir")]
    assert texts[0] == texts[1] != STEP
    assert "multiply %x" in graphc("dump", "model:holder.double")[1]


def test_opt_runs_the_passes_that_are_asked_for(graphc, folder):
    status, out, err = graphc("opt", "step.gir", "--passes", "decompose,cse", "--table")
    assert status == 0 and "= log_softmax" not in out
    assert [line.split()[0] for line in err.splitlines()[1:]] == ["decompose", "cse", "total"]
    assert "log_softmax %" in graphc("opt", "step.gir", "--passes", "fold", "--backend", "numpy")[1]
    status, out, _ = graphc("opt", "step.gir", "-o", "after.gir")
    assert (status, out) == (0, "") and gc.parse((folder / "after.gir").read_text()).name == "step"
    assert graphc("opt", "after.gir", "--passes", "cse")[0] == 0


def test_opt_replays_the_reproducer_that_an_error_names(graphc, folder, monkeypatch):
    def broken(graph):
        raise ZeroDivisionError("a planted bug")

    monkeypatch.setenv("GRAPHC_DUMP", str(folder / "dumps"))
    x = gc.placeholder(("n",), name="x")
    with gc.register_pass("broken", broken):
        with pytest.raises(gc.PassError) as caught:
            gc.function([x], gc.exp(x))
        command = caught.value.hint.partition("replay by: graphc ")[2].split()
        status, _, err = graphc(*command)
    assert status == 1 and "PassError: pass broken: ZeroDivisionError: a planted bug" in err


def test_run_with_files(graphc, folder):
    np.save("x.npy", np.ones((2, 4), "f4"))
    np.savez("both.npz", x=np.ones((2, 4), "f4"), t=np.array([0, 2]))
    np.savez("all.npz", x=np.ones((2, 4), "f4"), t=np.array([0, 2]), w=np.ones((4, 3), "f4"))
    status, out, _ = graphc("run", "model:holder.double", "--feed", "x=x.npy")
    assert status == 0 and out.startswith("output0: float32[2, 4]\n[[2. 2.")
    from_module = graphc("run", "model:step", "--feed", "both.npz", "-o", "a.npz")
    from_text = graphc("run", "step.gir", "--feed", "all.npz", "-o", "b.npz", "--backend", "numpy")
    assert from_module[:2] == (0, "2 arrays saved in a.npz\n") and from_text[0] == 0
    with np.load("a.npz") as a, np.load("b.npz") as b:
        assert set(a.files) == set(b.files) == {"output0", "new_w"}
        assert a["output0"] == pytest.approx(np.log(3)) and np.allclose(a["new_w"], b["new_w"])


def test_run_with_random_inputs(graphc):
    first, again, other = (graphc("run", "step.gir", "--random", s, "--size", "batch=3") for s in (0, 0, 1))
    assert first[0] == 0 and first == again and first[1] != other[1]
    assert "new_w: float32[4, 3]" in first[1]


def test_profile_and_its_trace(graphc, tmp_path):
    trace = tmp_path / "trace.json"
    options = ("--random", 0, "--size", "batch=8", "--calls", 3, "--trace", trace)
    status, out, _ = graphc("profile", "step.gir", *options)
    assert status == 0 and "median of 3" in out and "-- by line" in out
    assert {"ts", "dur", "name"} <= json.loads(trace.read_text())["traceEvents"][0].keys()
    assert graphc("profile", "step.gir", "--random", 0, "--size", "batch=8", "--calls", 0)[0] != 0


def test_compare_and_its_status(graphc, monkeypatch):
    status, out, _ = graphc("compare", "step.gir", "--random", 0, "--size", "batch=8")
    assert status == 0 and "the backends agree" in out
    assert graphc("compare", "model:step", "--random", 0, "--size", "batch=8")[0] == 0

    def wrong(t):
        """exp(x) -> x"""
        return t.inputs[0]

    with gc.register_rule(wrong, "exp"):
        status, out, _ = graphc("compare", "step.gir", "--random", 0, "--size", "batch=8")
    assert status == 1 and "DIFFERENT" in out and "pass simplify changes the values" in out


def test_draw_writes_a_file(graphc, folder):
    assert graphc("draw", "model:step")[1].startswith("step.svg: ")
    assert graphc("draw", "step.gir", "--stage", "final", "-o", "after.svg")[0] == 0
    assert "= fused" in (folder / "after.svg").read_text() and "= fused" not in (folder / "step.svg").read_text()


def test_doctor_reports(graphc):
    status, out, _ = graphc("doctor")
    assert status == 0
    facts = ["python", "numpy", "llvmlite", "LLVM", "CPU", "vectors", "affinity", "GRAPHC_SKIP", "cache"]
    for fact in (*facts, "cgroup quota"):
        assert f"\n  {fact} " in out
    assert out.count("works, first compile and run in") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("dump nowhere", "'nowhere' is neither a text IR file nor module:function"),
        ("dump nowhere.gir", "nowhere.gir: No such file"),
        ("dump modle:step", "there is no module 'modle'"),
        ("dump model:stpe", "did you mean 'step'?"),
        ("dump model:number", "model:number is a int, not a function"),
        ("dump bad.gir", "line 1: expected 'graph @name"),
        ("dump binary.gir", "binary.gir: it is not UTF-8 text"),
        ("dump step.gir --stage fues", "did you mean 'fuse'?"),
        ("dump step.gir --diff cse fues", "there is no stage 'fues'"),
        ("dump step.gir --artifact asm --backend numpy", "this backend makes no asm"),
        ("opt step.gir --passes fold,fues", "there is no pass 'fues'"),
        ("opt step.gir --skip unify", "pass 'unify' is required"),
        ("run step.gir", "no value for x, t"),
        ("run step.gir --random 0", "how large is batch?"),
        ("run step.gir --random 0 --size n=3", "there is no size 'n'; sizes are batch"),
        ("run step.gir --random 0 --feed y=x.npy", "has no input or variable 'y'; it has x, t, w"),
        ("run step.gir --random 0 --feed x=none.npy", "none.npy: No such file"),
        ("run step.gir --random 0 --feed x=bad.gir", "bad.gir: not an array file of NumPy"),
        ("run step.gir --random 0 --feed pickle.npy", "not an array file of NumPy"),
        ("run step.gir --random 0 --feed x.npy", "expected name=file.npy, or file.npz"),
        ("run step.gir --random 0 --feed x=x.npy", "x: f32[batch,4] needs extent 4 on axis 1"),
        ("run step.gir --random 0 --size batch=2 -o no/where.npz", "no/where.npz: No such file"),
        ("run step.gir --random 0 --size batch=2 -o out.csv", "name it so: out.npz"),
        ("run step.gir --random 0 --size batch=99999999999999", "not enough memory"),
        ("draw step.gir -o step.png", "name the file so: step.svg"),
    ],
)
def test_mistakes_are_one_message_and_status_1(graphc, folder, arguments, message):
    (folder / "bad.gir").write_text("nonsense")
    (folder / "binary.gir").write_bytes(b"\xff\xfe\x00")
    np.save("x.npy", np.ones((2, 5), "f4"))
    np.save("pickle.npy", np.array([{}], object), allow_pickle=True)
    status, out, err = graphc(*arguments.split())
    assert (status, out) == (1, "") and message in err and "Traceback" not in err
    assert err.startswith("graphc: ")


@pytest.mark.parametrize(
    "arguments",
    [
        "", "frobnicate", "dump", "opt step.gir --check 9", "run step.gir --size batch",
        "run step.gir --random -1", "dump a --stages --diff a b",
    ],
)
def test_a_wrong_command_line_is_status_2(graphc, arguments):
    status, out, err = graphc(*arguments.split())
    assert (status, out) == (2, "") and err.startswith("usage: graphc")


def test_an_error_inside_the_users_module_is_shown_as_it_is(graphc, folder):
    (folder / "broken_model.py").write_text("import nothing_of_that_name")
    with pytest.raises(ModuleNotFoundError, match="nothing_of_that_name"):
        graphc("dump", "broken_model:f")


def test_a_closed_pipe_is_no_error(graphc, folder):
    code = f"import sys; from graphc.__main__ import main; sys.exit(main(['dump', {str(folder / 'step.gir')!r}]))"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert "Traceback" not in done.stderr and done.returncode == 1


def test_import_is_lean():
    """What takes long to import is imported when it is first needed."""
    code = textwrap.dedent("""
        import sys, graphc
        heavy = ("llvmlite", "networkx", "rich", "scipy", "argparse", "graphc.inspect.compare", "graphc.inspect.draw")
        print([name for name in heavy if name in sys.modules])
        assert graphc.compare and graphc.draw and graphc.to_networkx and set(graphc.__all__) <= set(dir(graphc))
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_quotas_of_containers(tmp_path):
    assert cgroup_quota(tmp_path) is None
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("150000\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert cgroup_quota(tmp_path) == 1.5
    (tmp_path / "cpu.max").write_text("200000 100000\n")
    assert cgroup_quota(tmp_path) == 2.0
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert cgroup_quota(tmp_path) is None
