"""Imports point one way, and `import docmail` is light: read from the code, and seen in a fresh interpreter."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import docmail

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(docmail.__file__).parent

# The rooms, leftmost first, as in the drawing of the house: one imports those before it, and no other.
ORDER = [
    # the ground: each a page
    "faces",
    "reply",
    "privacy",
    "errors",
    "language",
    "files",
    "home",
    "secret",
    "addresses",
    # where mail goes, and as whom
    "text",
    "look",
    "presets",
    "settings",
    "credentials",
    # the line to a server
    "replies",
    "net",
    "oauth",
    # what is sent
    "reports",
    "foreign",
    "documents",
    "templates",
    "message",
    # how it is sent
    "transport",
    "mailbox",
    "outbox",
    "diagnosis",
    "notebook",
    # beside: the core never imports it
    "sandbox",
    # what people see
    "widgets",
    "command_line",
]
CORE = ORDER[: ORDER.index("sandbox")]
PACKAGES = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


class Import(NamedTuple):
    """What one line takes from another room: `name` from `module`, which is the room or what lies in it."""

    line: int
    module: str
    name: str


def _module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def _modules() -> list[Path]:
    """Return all files but those that are no room: the public names, and `python -m docmail`."""
    return [path for path in sorted(PACKAGE.rglob("*.py")) if _module_name(path) not in {"__init__", "__main__"}]


def _modules_of_the_core() -> list[Path]:
    return [path for path in _modules() if _module_name(path).partition(".")[0] in CORE]


@cache
def _face(package: str) -> dict[str, str]:
    """Return where each name on the face of a package comes from."""
    return {
        alias.name: name if (PACKAGE / f"{name.replace('.', '/')}.py").exists() else f"{name}.{alias.name}"
        for node in ast.walk(ast.parse((PACKAGE / package / "__init__.py").read_text("utf-8")))
        if isinstance(node, ast.ImportFrom)
        and (name := (node.module or "").removeprefix("docmail.")).startswith(package)
        for alias in node.names
    }


def _imported_names(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Yield the line of each import from docmail, what it imports, and the name that this gets."""
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
        for alias in node.names:
            if f"{module}{alias.name}".partition(".")[0] == "docmail":
                yield node.lineno, f"{module}{alias.name}", alias.asname or alias.name


def _imports(path: Path) -> Iterator[Import]:
    """Yield what a file imports, be it for an annotation or inside a function, and what it uses of an imported room."""
    tree = ast.parse(path.read_text("utf-8"))
    whole = {}
    for line, imported, name in _imported_names(tree):
        module, _dot, last = imported.removeprefix("docmail").removeprefix(".").rpartition(".")
        if module or (last and last not in ORDER):
            yield Import(line, module or docmail._HOMES.get(last, ""), last)
        else:
            yield Import(line, last, "")
            whole[name] = last
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in whole:
            yield Import(node.lineno, whole[node.value.id] or docmail._HOMES.get(node.attr, node.attr), node.attr)


def _across(path: Path) -> Iterator[tuple[Import, str]]:
    """Yield what a file imports from other rooms, and from which."""
    mine = _module_name(path).partition(".")[0]
    for each in _imports(path):
        theirs = each.module.partition(".")[0]
        if theirs not in {mine, ""}:  # "" is what the public names themselves hold: __version__
            yield each, theirs


@pytest.mark.parametrize("path", _modules(), ids=_module_name)
def test_imports_point_one_way(path: Path) -> None:
    """Also those for annotations, and those inside functions."""
    before = ORDER[: ORDER.index(_module_name(path).partition(".")[0])]
    assert [each for each, room in _across(path) if room not in before] == []


@pytest.mark.parametrize("path", _modules(), ids=_module_name)
def test_nobody_reaches_past_the_face_of_a_package(path: Path) -> None:
    past = [
        each
        for each, room in _across(path)
        if room in PACKAGES and (each.module != room or (each.name and each.name not in _face(room)))
    ]
    assert past == []


def test_the_order_names_every_room() -> None:
    assert set(ORDER) == {path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("__")} | set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_bears_the_name_of_something_that_its_packages_face_exports(package: str) -> None:
    """Importing the one would hide the other."""
    modules = {path.stem for path in (PACKAGE / package).glob("*.py")}
    modules |= {path.parent.name for path in (PACKAGE / package).glob("*/__init__.py")}
    functions = {name for name, home in _face(package).items() if home != f"{package}.{name}"}
    assert functions & modules == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_on_a_face_is_there(package: str) -> None:
    face = __import__(f"docmail.{package}", fromlist=["*"])
    assert set(face.__all__) == set(_face(package)) == set(dir(face))
    assert [name for name in face.__all__ if not hasattr(face, name)] == []


@pytest.mark.parametrize("path", _modules_of_the_core(), ids=_module_name)
def test_the_core_knows_nothing_of_jupyter(path: Path) -> None:
    text = path.read_text("utf-8")
    words = {name.id for name in ast.walk(ast.parse(text)) if isinstance(name, ast.Name)}
    assert not words & {"print", "input", "display"}
    assert "import IPython" not in text
    assert "ipywidgets" not in text


HEAVY = [
    # what a notebook has, and what only some of it need
    "IPython",
    "anywidget",
    "fpdf",
    "ipywidgets",
    "keyring",
    "matplotlib",
    "pandas",
    "polars",
    # what makes documents and messages
    "babel",
    "css_inline",
    "email.message",
    "email_validator",
    "jinja2",
    "mistune",
    "nh3",
    "pypdf",
    "pypdfium2",
    "uharfbuzz",
    # what speaks to servers, and plays them
    "aiosmtpd",
    "asyncio",
    "cryptography",
    "dns",
    "h11",
    "http.client",
    "imapclient",
    "imaplib",
    "msal",
    "python_socks",
    "smtplib",
    "socket",
    "ssl",
    "urllib.request",
    # what keeps mail
    "filelock",
    "sqlite3",
]


def _loaded_by(code: str) -> list[str]:
    report = f"{code}\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    return result.stdout.split()


def test_importing_docmail_loads_nothing_heavy() -> None:
    assert _loaded_by("import docmail") == []


def test_opening_every_face_loads_nothing_heavy() -> None:
    assert _loaded_by("".join(f"import docmail.{package}\n" for package in PACKAGES)) == []


def test_settings_and_errors_load_no_network_keyring_or_notebook() -> None:
    loaded = _loaded_by("import docmail; docmail.Settings; docmail.errors; docmail.presets; docmail.credentials")
    assert loaded == []


def test_the_core_works_without_jupyter() -> None:
    """Blocks ipywidgets, anywidget and IPython, and loads every module of the core."""
    code = "import sys\nfor name in ('ipywidgets', 'anywidget', 'IPython'): sys.modules[name] = None\n"
    code += "".join(f"import docmail.{_module_name(path)}\n" for path in _modules_of_the_core())
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
