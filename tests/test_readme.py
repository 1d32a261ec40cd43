"""README.md and docs/ are true: their code runs, prints what they show, and their links and commands exist.

`GRAPHC_UPDATE=1 pytest tests/test_readme.py` writes the present output into the files; review the diff. A shown
output that holds `...` matches whatever stands there, and is not rewritten; one below the comment
`<!-- numbers vary -->` (times, roundings) is compared with all numbers taken as equal.
"""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from graphc import errors

CHECKOUT = Path(__file__).parents[1]
DOCUMENTS = [CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
COMMANDS = [
    "python3 -m venv .venv && .venv/bin/pip install -e '.[examples]' && .venv/bin/python examples/digits_mlp.py",
    "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest",
]
_SHOWN = re.compile(r"(?P<varies><!-- numbers vary -->\n)?```text\n(?P<output>.*?)```\n", re.S)
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e[-+]\d+)?x?( [mun]?s\b)?")


def matching(shown: str, rendered: str) -> str:
    """`rendered`, with the shown output wherever that holds `...`, or numbers that vary, and matches."""
    outputs = _SHOWN.finditer(shown)
    checker = doctest.OutputChecker()

    def choose(match: re.Match[str]) -> str:
        was = next(outputs)
        if was["varies"]:
            alike = words(was["output"]) == words(match["output"])
        else:
            alike = "..." in was["output"] and checker.check_output(was["output"], match["output"], doctest.ELLIPSIS)
        return was[0] if alike else match[0]

    return _SHOWN.sub(choose, rendered)


def words(output: str) -> list[str]:
    """The words of an output, with all numbers alike."""
    return _NUMBER.sub("0", output).split()


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: file.name)
def test_a_document_shows_what_its_code_prints(file):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GRAPHC_")}
    run = subprocess.run(
        [sys.executable, CHECKOUT / "tests" / "run_document.py", file],
        capture_output=True, text=True, encoding="utf-8", cwd=CHECKOUT,
        env={**environment, "PYTHONUTF8": "1", "GRAPHC_NUM_THREADS": "2"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    shown = file.read_text(encoding="utf-8")
    rendered = matching(shown, run.stdout)
    if os.environ.get("GRAPHC_UPDATE"):
        file.write_text(rendered, encoding="utf-8")
    else:
        assert rendered == shown


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: file.name)
def test_links_and_paths_exist(file):
    text = re.sub(r"```.*?```", "", file.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert (file.parent / target).exists(), f"{file.name}: the link {target} leads nowhere"
    for path in re.findall(r"`((?:graphc|passes|backends|tests|examples|docs|benchmarks)/[\w./]+)`", text):
        assert (CHECKOUT / path).exists(), f"{file.name}: there is no {path}"


def test_errors_are_all_described():
    text = (CHECKOUT / "docs" / "errors.md").read_text(encoding="utf-8")
    names = [name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert [name for name in names if f"`{name}`" not in text and f"`gc.{name}`" not in text] == []


def test_the_two_commands_are_in_the_readme_and_ci_runs_the_second():
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    assert all(command in readme for command in COMMANDS)
    assert COMMANDS[1] in (CHECKOUT / ".ci" / "run").read_text(encoding="utf-8")
