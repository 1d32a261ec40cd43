"""The wheel holds every package: pyproject's list is what is on disk."""

import tomllib
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def test_every_folder_with_modules_is_a_listed_package():
    settings = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    found = set()
    for package, folder in settings["package-dir"].items():
        for file in (CHECKOUT / folder).rglob("*.py"):
            found.add(".".join((package, *file.parent.relative_to(CHECKOUT / folder).parts)))
    assert found == set(settings["packages"])
    assert all((CHECKOUT / settings["package-dir"]["graphc"] / f).exists() for f in settings["package-data"]["graphc"])
