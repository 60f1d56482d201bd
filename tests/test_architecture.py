"""The pages for developers and administrators lead to the right file: what they name exists, no room is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.md"
TEXT = PAGE.read_text("utf-8")
OTHERS = [ROOT / "docs" / "trust.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]


def linked(page: Path) -> set[Path]:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text("utf-8"))
    return {(page.parent / target).resolve() for target in targets}


def named(page: Path) -> set[Path]:
    return {ROOT / path for path in re.findall(r"\b(?:docmail|tests|notebooks)/[\w./-]*\w", page.read_text("utf-8"))}


PATHS = {path for page in [PAGE, *OTHERS] for path in linked(page) | named(page)}
DRAWING = [line.split("  ") for line in TEXT.split("```")[1].splitlines()]
ROOMS = sorted(
    path.stem
    for path in (ROOT / "docmail").iterdir()
    if not path.name.startswith("__") and (path.suffix == ".py" or (path / "__init__.py").exists())
)


@pytest.mark.parametrize("path", sorted(PATHS), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_path_that_a_page_names_exists(path: Path) -> None:
    assert path.exists()


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_a_place_in_the_drawing_and_a_line_that_says_what_it_does(room: str) -> None:
    assert [part.strip() for line in DRAWING for part in line].count(room) == 1
    path = ROOT / "docmail" / room
    assert (path if path.is_dir() else path.with_suffix(".py")) in linked(PAGE)


@pytest.mark.parametrize("path", [PAGE, *OTHERS], ids=lambda path: path.name)
def test_the_readme_leads_to_the_page(path: Path) -> None:
    assert f"({path.relative_to(ROOT).as_posix()})" in (ROOT / "README.md").read_text("utf-8")
