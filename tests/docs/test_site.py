"""The documentation site: all of it can be reached, nothing in it leads nowhere or is loaded from elsewhere."""

from __future__ import annotations

import importlib.util
import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pytest

import docmail
from tests.support.site import ROOT, build_site

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

pytestmark = pytest.mark.timeout(600)

# What a browser loads by itself, and not when somebody follows it.
_LOADED = {("iframe", "src"), ("img", "src"), ("link", "href"), ("script", "src"), ("source", "src"), ("video", "src")}


class Page(HTMLParser):
    """One page: its language, its anchors, what it leads to and what it loads."""

    def __init__(self, path: Path) -> None:
        """Read the page."""
        super().__init__()
        self.language = ""
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.text = path.read_text("utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the tag names."""
        named = {name: value or "" for name, value in attrs}
        self.anchors |= {named[name] for name in ("id", "name") if name in named}
        if tag == "html":
            self.language = named.get("lang", "")
        for name, value in named.items():
            if (tag, name) in _LOADED:
                self.loaded.append(value)
            elif name in {"href", "src"}:
                self.links.append(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a site that was built without a warning."""
    return build_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """Return all pages by their place."""
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


def local(page: Path, link: str) -> Path:
    """Return the file that a link of a page leads to."""
    path = unquote(urlsplit(link).path)
    return (page.parent / path).resolve() if path else page


def is_local(link: str) -> bool:
    return not urlsplit(link).scheme and not link.startswith("//")


def test_there_is_a_page_for_each_text(site: Path) -> None:
    guides = ROOT / "docmail" / "presets" / "guides"
    expected = {f"guides/{path.relative_to(guides).with_suffix('')}" for path in guides.rglob("*.md")}
    expected |= {f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    expected |= {path.stem for path in (ROOT / "docs").glob("*.md")}
    expected |= {path.stem.lower() for path in ROOT.glob("*.md")} - {"readme"}
    assert {name for name in expected if not (site / f"{name}.html").exists()} == set()


def test_each_page_can_be_reached_from_the_first(site: Path, pages: dict[Path, Page]) -> None:
    reached, waiting = set(), [site / "index.html"]
    while waiting:
        path = waiting.pop()
        if path not in reached and path in pages:
            reached.add(path)
            waiting += [local(path, link) for link in pages[path].links if is_local(link)]
    assert set(pages) - reached - {site / "search.html"} == set()  # which the field for searching opens


def test_each_link_and_each_picture_leads_somewhere(pages: dict[Path, Page]) -> None:
    dead = []
    for path, page in pages.items():
        for link in filter(is_local, [*page.links, *page.loaded]):
            target, anchor = local(path, link), unquote(urlsplit(link).fragment)
            if not target.exists() or (anchor and target in pages and anchor not in pages[target].anchors):
                dead.append(f"{path.name}: {link}")
    assert dead == []


def test_what_is_elsewhere_is_only_linked_and_only_by_https(site: Path, pages: dict[Path, Page]) -> None:
    loaded = {link for page in pages.values() for link in page.loaded if not is_local(link)}
    assert {link for link in loaded if not link.startswith("data:")} == set()
    schemes = {urlsplit(link).scheme for page in pages.values() for link in page.links if not is_local(link)}
    assert schemes <= {"https", "mailto", "data"}
    styles = "".join(path.read_text("utf-8") for path in site.rglob("*.css"))
    assert re.findall(r"@import|url\(['\"]?(?:https?:)?//", styles) == []


def test_no_script_and_no_state_of_a_widget_is_left(pages: dict[Path, Page]) -> None:
    left = re.compile(r"unpkg|jsdelivr|require(?:\.min)?\.js|vnd\.jupyter\.widget")
    assert {path.name for path, page in pages.items() if left.search(page.text)} == set()


def test_a_tutorial_shows_its_outputs_and_pictures_of_the_screens(pages: dict[Path, Page], site: Path) -> None:
    first = pages[site / "notebooks" / "0_first_pdf.html"]
    assert "Sales, November.pdf" in first.text
    assert "Inbox: 1 mail" in first.text
    assert "../_images/document.png" in first.loaded


def test_the_search_finds_the_guides_about_app_passwords(site: Path) -> None:
    script = (site / "searchindex.js").read_text("utf-8")
    index = json.loads(script.removeprefix("Search.setIndex(").removesuffix(")"))

    def found(word: str) -> set[str]:
        places: list[Any] = [index[kind].get(word, []) for kind in ("terms", "titleterms")]
        numbers = [number for each in places for number in ([each] if isinstance(each, int) else each)]
        return {index["docnames"][number] for number in numbers}

    assert found("app") & found("password") >= {"guides/gmail", "guides/passwords", "guides/yahoo"}


def test_a_page_says_its_language(site: Path, pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        assert page.language == ("af" if path.parent == site / "guides" / "af" else "en"), path


def test_a_guide_and_its_translation_lead_to_each_other(site: Path, pages: dict[Path, Page]) -> None:
    def article(name: str) -> str:
        return pages[site / "guides" / name].text.partition("<article")[2].partition("</article>")[0]

    assert 'href="af/ports.html"' in article("ports.html")
    assert 'href="../ports.html"' in article("af/ports.html")
    assert "&lt;!--" not in article("af/ports.html")
    assert "<!--" not in article("af/ports.html")


@pytest.mark.parametrize("name", docmail.__all__)
def test_a_public_name_is_documented(name: str, pages: dict[Path, Page]) -> None:
    anchors = {anchor for page in pages.values() for anchor in page.anchors}
    assert anchors & {f"docmail.{name}", f"module-docmail.{name}"}


@pytest.fixture
def gather() -> ModuleType:
    """Return the module that gathers the pages."""
    spec = importlib.util.spec_from_file_location("gather", ROOT / "docs" / "gather.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_link_of_a_text_that_leads_nowhere_ends_the_build(
    gather: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("notebooks", "docs/names", "docmail/presets/guides/af"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "README.md").write_text("```\n[in code](x.md)\n```\n\n[a](docmail), [b](docs/gone.md)\n", "utf-8")
    monkeypatch.setattr(gather, "ROOT", tmp_path)
    monkeypatch.setattr(gather, "_PICTURES", {})
    monkeypatch.setattr(gather, "_TEXTS", ["README.md"])
    with pytest.raises(FileNotFoundError, match=r"README\.md: nothing is at docs/gone\.md"):
        gather.gather(tmp_path / "build")
    (tmp_path / "docs" / "gone.md").write_text("# Here", "utf-8")
    gather.gather(tmp_path / "build")
    assert "[a](source/docmail.md), [b](gone.md)" in (tmp_path / "build" / "README.md").read_text("utf-8")


def test_a_picture_below_a_cell_that_is_gone_ends_the_build(
    gather: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "_PICTURES", {"0_first_pdf": {"no such line": "document"}})
    with pytest.raises(ValueError, match="no such line"):
        gather.gather(tmp_path / "build")
