"""The command line: `graphc dump|opt|run|compare|draw|cache|doctor`.

Invariant: errors that the caller can mend are one message on the standard error stream and exit status 1; a
wrong command line is status 2, as argparse has it; results go to the standard output stream.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from graphc.backends.llvm.cache import describe_usage, object_cache, readable
from graphc.errors import ArgumentError, GraphcError, nearest
from graphc.inspect.compare import compare
from graphc.inspect.debug import pass_table
from graphc.inspect.doctor import report
from graphc.inspect.draw import draw
from graphc.inspect.feeds import fill, read_feeds
from graphc.inspect.target import Target, load_target
from graphc.ir.graph import Graph
from graphc.ir.text import print_graph
from graphc.passes.manager import Trace

_Command = Callable[[argparse.Namespace], int]

_TARGET = "a text IR file (step.gir), or a function that gc.function made (model:step)"

_DESCRIPTION = """\
Look into graphs, run the passes on them, and run them, without writing a program.

A TARGET is a text IR file, such as step.dump() and `graphc dump` print, or a compiled function in a module that
can be imported from here: model:step, where model.py says `step = gc.function(...)`."""

_EXAMPLES = """\
a first walk:
  graphc dump model:step > step.gir                      the graph as written, to a file
  graphc dump step.gir --stages                          what each pass does to it
  graphc dump step.gir --diff cse fuse                   what one pass changes
  graphc draw step.gir --stage final                     a picture of what runs
  graphc run step.gir --random 0 --size batch=32         run it on random inputs
  graphc compare step.gir --random 0 --size batch=32     interpreter against machine code

`graphc COMMAND --help` says more about each."""


_CACHE = """\
Compiled code is kept in the user's cache folder, or where GRAPHC_CACHE says; GRAPHC_CACHE=off turns that off.
What was not used for longest goes first when the cache is full. A folder that others can write is not used."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    options = _parser().parse_args(arguments)
    try:
        run: _Command = options.run
        status = run(options)
        sys.stdout.flush()
        return status
    except GraphcError as error:
        print(f"graphc: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `graphc dump ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"graphc: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
        return 1
    except MemoryError as error:
        print(f"graphc: not enough memory: {error}", file=sys.stderr)
        return 1


# ---- commands --------------------------------------------------------------------------------------------


def _dump(options: argparse.Namespace) -> int:
    target = load_target(options.target)
    if options.artifact is not None:
        artifacts = target.function(options.backend, options.skip).artifacts
        if options.artifact not in artifacts:
            raise ArgumentError(f"this backend makes no {options.artifact}; it makes {', '.join(artifacts)}")
        print(artifacts[options.artifact].rstrip("\n"))
        return 0
    trace = target.trace(options.backend, options.skip)
    if options.stages:
        print("\n".join(pass_table(trace)))
    elif options.diff is not None:
        first, second = options.diff
        before, after = (_text(_stage(trace, name), options).splitlines() for name in (first, second))
        print("\n".join(difflib.unified_diff(before, after, first, second, lineterm="")))
    else:
        print(_text(_stage(trace, options.stage), options), end="")
    return 0


def _text(graph: Graph, options: argparse.Namespace) -> str:
    return print_graph(graph, locations=options.locations)


def _stage(trace: Trace, name: str) -> Graph:
    stages = {"input": trace.input, **{s.name: s.graph for s in trace.stages}, "final": trace.graph}
    if name not in stages:
        raise ArgumentError(f"there is no stage {name!r}; stages are {', '.join(stages)}", hint=nearest(name, stages))
    return stages[name]


def _opt(options: argparse.Namespace) -> int:
    target = load_target(options.target)
    trace = target.trace(options.backend, options.skip, options.passes, options.check)
    if options.table:
        print("\n".join(pass_table(trace)), file=sys.stderr)
    text = _text(trace.graph, options)
    if options.output is None:
        print(text, end="")
    else:
        Path(options.output).write_text(text, encoding="utf-8")
    return 0


def _run(options: argparse.Namespace) -> int:
    target = load_target(options.target)
    function = target.function(options.backend, options.skip)
    arrays = _arrays(target, options)
    result = function(*arrays)
    outputs = _outputs(target, result)
    updated = {f"new_{v.hint or 'variable'}": v.value for v, _ in target.graph.updates}  # type: ignore[attr-defined]
    if options.output is not None:
        path = Path(options.output)
        if path.suffix != ".npz":
            raise ArgumentError(f"the outputs are saved as an .npz file, so name it so: {path.with_suffix('.npz')}")
        np.savez(path, **outputs, **updated)  # type: ignore[arg-type]
        print(f"{len(outputs) + len(updated)} arrays saved in {path}")
        return 0
    with np.printoptions(threshold=100, precision=6):
        for name, array in {**outputs, **updated}.items():
            print(f"{name}: {array.dtype}{list(array.shape)}\n{array}")
    return 0


def _outputs(target: Target, result: object) -> dict[str, np.ndarray]:
    """The outputs by name; whatever structure the function gives them in."""
    leaves: list[np.ndarray] = []
    stack = [result]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack.extend(reversed(list(item.values())))
        elif isinstance(item, (list, tuple)):
            stack.extend(reversed(item))
        elif item is not None:
            leaves.append(np.asarray(item))
    names = [t.hint or f"output{i}" for i, t in enumerate(target.graph.outputs)]
    unique = len(set(names)) == len(names)
    return dict(zip(names if unique else [f"output{i}" for i in range(len(names))], leaves))


def _compare(options: argparse.Namespace) -> int:
    target = load_target(options.target)
    function = target.function(options.backend, options.skip)
    comparison = compare(function, *_arrays(target, options))
    print(comparison)
    if not comparison.ok:
        print(comparison.blame())
    return 0 if comparison.ok else 1


def _profile(options: argparse.Namespace) -> int:
    target = load_target(options.target)
    found = target.function(options.backend, options.skip).profile(*_arrays(target, options), calls=options.calls)
    print(found, end="")
    if options.trace is not None:
        found.save_chrome_trace(options.trace)
        print(f"{options.trace}: open it in chrome://tracing or https://ui.perfetto.dev")
    return 0


def _draw(options: argparse.Namespace) -> int:
    target = load_target(options.target)
    graph = _stage(target.trace(options.backend, options.skip), options.stage)
    path = options.output or f"{target.name}.svg"
    picture = draw(graph)
    picture.save(path)
    print(f"{path}: {picture.width} x {picture.height}")
    return 0


def _cache(options: argparse.Namespace) -> int:
    store = object_cache()
    if options.action == "info":
        print(describe_usage(store.usage()))
        return 0
    removed = store.clear()
    if removed.problem:
        print(describe_usage(removed))
        return 1
    print(f"{removed.entries} entries removed, {readable(removed.size)}")
    return 0


def _doctor(options: argparse.Namespace) -> int:
    print(report())
    return 0


def _arrays(target: Target, options: argparse.Namespace) -> list[np.ndarray]:
    return fill(
        target.graph, read_feeds(options.feed), seed=options.random, sizes=dict(options.size),
        fill_variables=target.is_text,
    )  # fmt: skip


# ---- the command line ------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "graphc", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"graphc {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    dump = _command(commands, "dump", _dump, "print a graph, at any stage", """\
  graphc dump step.gir                                the graph as written
  graphc dump step.gir --stages                       what each pass did, as a table
  graphc dump step.gir --stage fuse                   the graph after the pass fuse
  graphc dump step.gir --diff cse fuse --no-locations what fuse changed
  graphc dump step.gir --artifact asm                 the machine code""")
    _add_passes(dump)
    _add_locations(dump)
    what = dump.add_mutually_exclusive_group()
    what.add_argument("--stage", default="input", help="input (default), the name of a pass, or final")
    what.add_argument("--diff", nargs=2, metavar=("BEFORE", "AFTER"), help="the difference between two stages")
    what.add_argument("--stages", action="store_true", help="a table of the passes: time, tensors, rules fired")
    what.add_argument("--artifact", choices=("plan", "cache", "llvm", "asm"), help="a text of the compiled code")

    opt = _command(commands, "opt", _opt, "run passes on a graph and print the result", """\
  graphc opt step.gir                                 the whole pipeline
  graphc opt step.gir --passes fold,simplify,cse      these passes only, in this order
  graphc opt step.gir --skip fuse --table             all but one, with a table of what each did
  graphc opt --passes fuse graphc-f-fuse-50a8.gir     replay the file that an error names""")
    _add_passes(opt)
    _add_locations(opt)
    opt.add_argument("--passes", type=_names, metavar="A,B", help="run these passes, in this order")
    opt.add_argument("--check", type=int, choices=range(4), default=2, help="how much to verify (default: 2)")
    opt.add_argument("--table", action="store_true", help="also print what each pass did, on the error stream")
    opt.add_argument("-o", "--output", metavar="FILE", help="write the graph here instead of printing it")

    run = _command(commands, "run", _run, "run a graph and print or save its outputs", """\
  graphc run model:step --feed x=x.npy --feed t=t.npy      inputs from files
  graphc run model:step --feed batch.npz -o results.npz    all inputs from one file, outputs to another
  graphc run step.gir --random 0 --size batch=32           random inputs, and random variables

Variables of a text IR file are zeros unless they are fed, or random. Random floats are normal, integers 0 or 1.""")
    _add_passes(run)
    _add_feeds(run)
    run.add_argument("-o", "--output", metavar="FILE.npz", help="save the outputs here instead of printing them")

    compared = _command(commands, "compare", _compare, "compare the interpreter with the machine code, by tensor", """\
  graphc compare step.gir --random 0 --size batch=32
  graphc compare model:step --feed batch.npz

The status is 1 if they differ; then the report names the first tensor that the machine code computes wrongly
from its own operands, and the first pass that changes the interpreter's values, if one does.""")
    _add_passes(compared)
    _add_feeds(compared)

    profiled = _command(commands, "profile", _profile, "time a graph by kernel, op and line", """\
  graphc profile step.gir --random 0 --size batch=128
  graphc profile model:step --feed batch.npz --trace step.json

Shares of the peak are of what this processor was measured to do: multiply-adds, or bytes to and from memory.""")
    _add_passes(profiled)
    _add_feeds(profiled)
    profiled.add_argument("--calls", type=int, metavar="N", help="time this many calls (default: half a second)")
    profiled.add_argument("--trace", metavar="FILE.json", help="also write one call as a Chrome trace")

    drawn = _command(commands, "draw", _draw, "draw a graph as an SVG picture", """\
  graphc draw step.gir                                writes step.svg
  graphc draw model:step --stage final -o optimised.svg""")
    _add_passes(drawn)
    drawn.add_argument("--stage", default="input", help="input (default), the name of a pass, or final")
    drawn.add_argument("-o", "--output", metavar="FILE.svg", help="where to write it (default: TARGET.svg)")

    cached = commands.add_parser(
        "cache", help="show or clear the cache of compiled code", epilog=_CACHE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    cached.add_argument("action", choices=("info", "clear"), help="print where it is and how full, or empty it")
    cached.set_defaults(run=_cache)

    doctor = commands.add_parser("doctor", help="print versions, processor, threads and settings")
    doctor.set_defaults(run=_doctor)
    return parser


def _command(commands: Any, name: str, run: _Command, summary: str, examples: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("target", metavar="TARGET", help=_TARGET)
    parser.set_defaults(run=run)
    return parser


def _add_passes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backend", choices=("llvm", "numpy"), help="what to compile for")
    parser.add_argument("--skip", type=_names, default=(), metavar="A,B", help="passes to leave out")


def _add_locations(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-locations", dest="locations", action="store_false", help="without source lines")


def _add_feeds(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--feed", action="append", default=[], metavar="FEED", help="name=file.npy, or file.npz with arrays by name"
    )
    parser.add_argument("--random", type=_seed, metavar="SEED", help="random values for what is not fed")
    parser.add_argument(
        "--size", type=_size, action="append", default=[], metavar="NAME=N", help="the value of a symbolic size"
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number from 0 on, not {text!r}")
    return int(text)


def _size(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not name or not number.isdecimal():
        raise argparse.ArgumentTypeError(f"expected NAME=N, such as batch=32, not {text!r}")
    return name, int(number)


def _version() -> str:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version("graphc-compiler")
    return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
