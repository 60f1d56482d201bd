"""Imports point one way, and `import docmail` is light: read from the code, and seen in a fresh interpreter."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import docmail

PACKAGE = Path(docmail.__file__).parent

# Leftmost first; a module may import those before it. The entry points (`__init__`, `command_line`) see everything.
ORDER = [
    "faces",
    "language",
    "privacy",
    "outbox.bad_rows",
    "outbox.observers",
    "errors",
    "outbox.batch_names",
    "files",
    "home",
    "presets.catalogue",
    "presets.services",
    "presets.filled_in",
    "addresses",
    "text.values",
    "text.given",
    "text.markdown",
    "templates.filling",
    "templates.storage",
    "credentials.keyring_backends",
    "credentials.store",
    "replies.redaction",
    "replies.known",
    "replies.meaning",
    "reports.truetype",
    "reports.pdf_writer",
    "reports.fonts",
    "reports.lines",
    "text.columns",
    "reports.pages",
    "reports.tables",
    "reports.paragraphs",
    "reports.report",
    "documents.convert",
    "documents.document",
    "settings.servers",
    "settings.saved_profiles",
    "settings.settings",
    "message.body",
    "message.message",
    "transport.base",
    "net.tls",
    "net.connection",
    "transport.smtp.conversation",
    "transport.smtp.sasl",
    "diagnosis.explore",
    "transport.smtp.delivery",
    "transport.smtp.transport",
    "transport.http.body",
    "transport.http.forms",
    "transport.http.apis",
    "replies.http_status",
    "replies.http",
    "net.proxy",
    "net.http",
    "oauth",
    "transport.http.transport",
    "transport.opening",
    "diagnosis.autoconfig",
    "outbox.rows",
    "outbox.spool",
    "outbox.claims",
    "outbox.traces",
    "outbox.guard",
    "outbox.schema",
    "outbox.database",
    "outbox.entry",
    "outbox.journal",
    "outbox.changes",
    "outbox.queue",
    "outbox.rate",
    "outbox.outcomes",
    "outbox.keys",
    "outbox.rehearsal",
    "outbox.shared_contents",
    "outbox.sender",
    "outbox.extra_connections",
    "outbox.starting",
    "outbox.run",
    "message.merging",
    "outbox.prepared_mails",
    "outbox.batch",
    "outbox.preview",
    "outbox.outbox",
    "outbox.search",
    "outbox.resending",
    "diagnosis.diagnosis",
    "sandbox",
    "widgets",
]

CORE = [name for name in ORDER if name not in {"diagnosis.diagnosis", "sandbox", "widgets"}]


def _module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def _layer(module: str) -> str:
    """Return the entry of ORDER that a module belongs to."""
    parts = module.split(".")
    return next(name for end in range(len(parts), 0, -1) if (name := ".".join(parts[:end])) in ORDER)


@cache
def _face(package: str) -> dict[str, str]:
    """Return where each name on the face of a package comes from; empty for a module."""
    path = PACKAGE / package / "__init__.py"
    if not package or not path.exists():
        return {}
    return {
        alias.name: name if (PACKAGE / f"{name.replace('.', '/')}.py").exists() else f"{name}.{alias.name}"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom)
        and (name := (node.module or "").removeprefix("docmail.")).startswith(package)
        for alias in node.names
    }


def _imports(path: Path) -> set[str]:
    """Return the docmail modules that a file imports when it runs, also inside functions, and also through a face."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []  # a name in an annotation is no dependency
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("docmail.") for alias in node.names if alias.name.startswith("docmail.")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "docmail":
            module = (node.module or "").removeprefix("docmail").removeprefix(".")
            for alias in node.names:
                if not module and (PACKAGE / alias.name / "__init__.py").exists():
                    # A whole face: what is used of it, wherever that comes from.
                    face = _face(alias.name)
                    used = {
                        each.attr
                        for each in ast.walk(tree)
                        if isinstance(each, ast.Attribute)
                        and isinstance(each.value, ast.Name)
                        and each.value.id == (alias.asname or alias.name)
                    }
                    found |= {face[name] for name in used if name in face}
                else:
                    found.add(_face(module).get(alias.name) or f"{module}.{alias.name}".removeprefix("."))
    return found


def _modules() -> list[Path]:
    return [
        path
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name not in {"__init__.py", "__main__.py"} and path.parent.name != "command_line"
    ]


@pytest.mark.parametrize("path", _modules(), ids=_module_name)
def test_a_module_imports_only_what_stands_left_of_it(path: Path) -> None:
    mine = _layer(_module_name(path))
    for imported in _imports(path):
        theirs = _layer(imported)
        if mine == "transport.opening" and theirs.startswith("transport."):
            continue  # it opens what the rest of the package is
        assert theirs == mine or ORDER.index(theirs) < ORDER.index(mine), f"{mine} imports {imported}"


@pytest.mark.parametrize("package", sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py")))
def test_no_module_bears_the_name_of_something_that_its_packages_face_exports(package: str) -> None:
    """Importing the one would hide the other."""
    modules = {path.stem for path in (PACKAGE / package).glob("*.py")}
    modules |= {path.parent.name for path in (PACKAGE / package).glob("*/__init__.py")}
    functions = {name for name, home in _face(package).items() if home != f"{package}.{name}"}
    assert functions & modules == set()


@pytest.mark.parametrize("package", sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py")))
def test_every_name_on_a_face_is_there(package: str) -> None:
    face = __import__(f"docmail.{package}", fromlist=["*"])
    assert set(face.__all__) == set(_face(package)) == set(dir(face))
    assert [name for name in face.__all__ if not hasattr(face, name)] == []


@pytest.mark.parametrize("path", _modules(), ids=_module_name)
def test_the_core_knows_nothing_of_jupyter(path: Path) -> None:
    if _layer(_module_name(path)) in CORE:
        words = {name.id for name in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(name, ast.Name)}
        assert not words & {"print", "input", "display"}
        text = path.read_text("utf-8")
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
    packages = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
    assert _loaded_by("".join(f"import docmail.{package}\n" for package in packages)) == []


def test_settings_and_errors_load_no_network_keyring_or_notebook() -> None:
    loaded = _loaded_by("import docmail; docmail.Settings; docmail.errors; docmail.presets; docmail.credentials")
    assert loaded == []


def test_the_core_works_without_jupyter() -> None:
    """Blocks ipywidgets, anywidget and IPython, and loads every module of the core."""
    code = "import sys\nfor name in ('ipywidgets', 'anywidget', 'IPython'): sys.modules[name] = None\n"
    code += "".join(f"import docmail.{name}\n" for name in CORE)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_no_module_is_longer_than_a_page_of_thought() -> None:
    lengths = {_module_name(path): len(path.read_text("utf-8").splitlines()) for path in _modules()}
    assert {name: length for name, length in lengths.items() if length > 500} == {}
