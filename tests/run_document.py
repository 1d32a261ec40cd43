"""Runs the Python blocks of a Markdown file and prints the file with the output that they give now.

    python tests/run_document.py README.md

The blocks of one file are one program, `tour.py`, so later blocks see what earlier ones made and locations in
the output have stable line numbers. A `text` block right after a Python block is its output, and is replaced.
A block below the comment `<!-- not run -->` is left alone.

Invariant: apart from those `text` blocks, what is printed is the file.
"""

import contextlib
import io
import os
import re
import sys
import tempfile
from pathlib import Path

_BLOCK = re.compile(
    r"(?P<skip><!-- not run -->\n)?```python\n(?P<code>.*?)```\n"
    r"(?P<shown>\n(?:<!-- numbers vary -->\n)?```text\n(?P<output>.*?)```\n)?",
    re.S,
)


def render(document: str) -> str:
    """`document` with fresh outputs; the present folder is where `tour.py` is written."""
    blocks = [m for m in _BLOCK.finditer(document) if not m["skip"]]
    file = Path("tour.py").resolve()
    file.write_text("\n".join(m["code"] for m in blocks), encoding="utf-8")
    namespace: dict[str, object] = {"__name__": "tour"}
    parts: list[str] = []
    line = end = 0
    for block in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("\n" * line + block["code"], str(file), "exec"), namespace)
        line += block["code"].count("\n") + 1
        output = "".join(f"{row.rstrip()}\n" for row in printed.getvalue().strip("\n").split("\n"))
        if bool(printed.getvalue().strip()) != bool(block["shown"]):
            raise SystemExit(f"a block prints, and none is shown, or the reverse:\n{block['code']}\n{output}")
        if block["shown"]:
            parts += [document[end : block.start("output")], output]
            end = block.end("output")
    return "".join([*parts, document[end:]])


if __name__ == "__main__":
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        result = render(text)
        os.chdir("/")
    sys.stdout.write(result)
