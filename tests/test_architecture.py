"""`docs/architecture.md` leads newcomers to the right file, so what it names exists and no room is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.md"
TEXT = PAGE.read_text("utf-8")

LINKED = {(PAGE.parent / target).resolve() for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXT)}
NAMED = {ROOT / path for path in re.findall(r"\b(?:docmail|tests|notebooks)/[\w./-]*\w", TEXT)}
DRAWING = [line.split("  ") for line in TEXT.split("```")[1].splitlines()]
ROOMS = sorted(
    path.stem
    for path in (ROOT / "docmail").iterdir()
    if not path.name.startswith("__") and (path.suffix == ".py" or (path / "__init__.py").exists())
)


@pytest.mark.parametrize("path", sorted(LINKED | NAMED), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_path_that_the_page_names_exists(path: Path) -> None:
    assert path.exists()


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_a_place_in_the_drawing_and_a_line_that_says_what_it_does(room: str) -> None:
    assert [part.strip() for line in DRAWING for part in line].count(room) == 1
    path = ROOT / "docmail" / room
    assert (path if path.is_dir() else path.with_suffix(".py")) in LINKED


def test_the_readme_leads_to_the_page() -> None:
    assert "(docs/architecture.md)" in (ROOT / "README.md").read_text("utf-8")
