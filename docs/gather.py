"""Copies what the site shows into one folder in which each page stands at its place, and its links lead to others.

The texts stay where people look for them (README, guides, notebooks), and links in them are those of the repository.
Here a link to a text becomes one to its page, and a link to a file or folder of the code becomes one to a page that
shows it. One that leads nowhere ends the build.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
GUIDES = PurePosixPath("docmail/presets/guides")
_LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)([^)#\s]+)")
_TEXTS = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
_FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
_LANGUAGES = {".py": "python", ".toml": "toml"}

# What a page cannot run is shown as a picture, below the cell of a tutorial whose last line this is. What is seen in it
# is said where the README shows it.
_PICTURES = {
    "0_first_pdf": {"report": "document"},
    "1_provider_setup": {"form": "settings", "known": "recognised"},
    "2_test_email": {"form": "failed"},
    "3_email_a_pdf": {"pdf": "mail", "docmail.Outbox()": "history"},
    "5_batch": {"outbox.run(batch=BATCH, limit=80)": "batch"},
}

# Their headings would stand beside those of docmail's users in what a search finds.
_SOURCE_PAGE = "---\norphan: true\nnosearch: true\n---\n\n# `{name}`\n\n{text}\n"


def gather(folder: Path) -> None:
    """Write the pages of the site into a folder, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "notebooks", folder / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    for name, pictures in _PICTURES.items():
        _show_pictures(folder / "notebooks" / f"{name}.ipynb", pictures)
    waiting = list(_texts())
    done = set()
    for path in waiting:  # which grows by what the texts lead to
        if path in done:
            continue
        done.add(path)
        page = folder / _page_of(path)
        page.parent.mkdir(parents=True, exist_ok=True)
        text = _text_of(path)
        if path.suffix == ".md":
            text = _outside_fences(text, path, waiting)
        page.write_text(text, "utf-8")


def _show_pictures(notebook: Path, pictures: dict[str, str]) -> None:
    """Add the pictures to a notebook, each below its cell."""
    shown = re.findall(r"!\[(.+)\]\(notebooks/pictures/([\w-]+)\.png\)", (ROOT / "README.md").read_text("utf-8"))
    said = {name: text for text, name in shown}
    content = json.loads(notebook.read_text("utf-8"))
    lines = ["".join(cell["source"]).rpartition("\n")[2] for cell in content["cells"]]
    for line, name in pictures.items():
        at = lines.index(line) + 1
        text = f"*In JupyterLab:*\n\n![{said[name]}](pictures/{name}.png)"
        content["cells"].insert(at, {"cell_type": "markdown", "id": f"picture-{name}", "metadata": {}, "source": text})
        lines.insert(at, "")
    notebook.write_text(json.dumps(content), "utf-8")


def _texts() -> Iterator[PurePosixPath]:
    """Yield the texts that have a page of their own; the README is one that others include."""
    yield from map(PurePosixPath, _TEXTS)
    for folder in ("docs", "docs/names", GUIDES, GUIDES / "af"):
        for path in sorted((ROOT / folder).iterdir()):
            if path.suffix in {".md", ".rst"}:
                yield PurePosixPath(path.relative_to(ROOT).as_posix())


def _page_of(path: PurePosixPath) -> PurePosixPath:
    """Return where in the site the page of a file or folder of the repository stands."""
    if path.is_relative_to(GUIDES):
        inner = path.relative_to(GUIDES)
        return PurePosixPath("guides") / inner if path.suffix else PurePosixPath("guides.md")
    if path.is_relative_to("docs") and path.suffix in {".md", ".rst"}:
        return path.relative_to("docs")
    if path.is_relative_to("notebooks") and path.suffix:
        return path
    if path.name in _TEXTS:
        return PurePosixPath(path.name if path.stem == "README" else path.name.lower())
    return PurePosixPath("source") / f"{path}.md"


def _text_of(path: PurePosixPath) -> str:
    """Return the text of a page, its links still those of the repository."""
    place = ROOT / path
    if place.is_dir():
        return _SOURCE_PAGE.format(name=path, text="\n".join(_lines_of(place)))
    text = place.read_text("utf-8")
    if path.is_relative_to(GUIDES):
        return _guide(path, text)
    if not _page_of(path).is_relative_to("source"):
        return text
    shown = f"``````{_LANGUAGES.get(path.suffix, 'text')}\n{text}\n``````"
    return _SOURCE_PAGE.format(name=path, text=shown)


def _guide(path: PurePosixPath, text: str) -> str:
    """Return a guide with its heading's comments as anchors, and a way to the same guide in the other language."""
    text = re.sub(r"^(#+ .*?) *<!-- *(\w+) *-->$", rf"({path.stem}-af-\2)=\n\1", text, flags=re.MULTILINE)
    in_afrikaans = path.parent != GUIDES
    other, name = (f"../{path.name}", "In English") if in_afrikaans else (f"af/{path.name}", "In Afrikaans")
    if not (ROOT / path.parent / other).exists():
        return text
    heading, _, rest = text.partition("\n\n")
    return f"{heading}\n\n[{name}]({other})\n\n{rest}"


def _lines_of(folder: Path) -> Iterator[str]:
    """Yield what a folder of the code holds: each file, and the first sentence of what a module says of itself."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            said = (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "") if path.suffix == ".py" else ""
            first = said.partition("\n")[0].replace("*", r"\*")
            yield f"- `{path.relative_to(folder).as_posix()}`" + (f" — {first}" if first else "")


def _outside_fences(text: str, path: PurePosixPath, waiting: list[PurePosixPath]) -> str:
    """Return a text whose links, but for those in code, lead to pages; what these show is added to `waiting`."""

    def led(link: re.Match[str]) -> str:
        meant = PurePosixPath(os.path.normpath(path.parent / link[0]))
        if not (ROOT / meant).exists():
            message = f"{path}: nothing is at {link[0]}"
            raise FileNotFoundError(message)
        page = _page_of(meant)
        if page.is_relative_to("source"):
            waiting.append(meant)
        page = PurePosixPath("index.md") if page.name == "README.md" else page
        return os.path.relpath(page, _page_of(path).parent)

    pieces, end = [], 0
    for fence in _FENCE.finditer(text):
        pieces += [_LINK.sub(led, text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*pieces, _LINK.sub(led, text[end:])])
