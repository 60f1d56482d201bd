"""Imports point one way, and `import docmail` is light: read from the code, and seen in a fresh interpreter."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import docmail

PACKAGE = Path(docmail.__file__).parent

# Leftmost first; a module may import those before it. The entry points (`__init__`, `__main__`) see everything.
ORDER = [
    "translation",
    "masking",
    "problem_table",
    "watching",
    "errors",
    "batch_names",
    "files",
    "home",
    "presets",
    "services",
    "filled_in",
    "addresses",
    "values",
    "given",
    "markdown",
    "template_language",
    "templates",
    "keyring_backends",
    "credentials",
    "replies",
    "known_replies",
    "causes",
    "truetype",
    "pdf",
    "fonts",
    "wrapping",
    "frames",
    "sheets",
    "tables",
    "prose",
    "reports",
    "sources",
    "documents",
    "servers",
    "profiles",
    "settings",
    "body",
    "message",
    "transport.base",
    "transport.tls",
    "transport.connection",
    "transport.conversation",
    "transport.bearer",
    "transport.explore",
    "transport.sending",
    "transport.smtp",
    "transport.body",
    "transport.form",
    "transport.apis",
    "transport.status",
    "transport.answers",
    "transport.proxy",
    "transport.web",
    "oauth",
    "transport.http",
    "transport",
    "discovery",
    "rows",
    "spool",
    "owners",
    "traces",
    "guard",
    "journal",
    "database",
    "entry",
    "records",
    "store",
    "queue_store",
    "pace",
    "verdicts",
    "repetition",
    "rehearsal",
    "shared",
    "sender",
    "helpers",
    "starting",
    "queue_run",
    "merging",
    "scratch",
    "preparing",
    "preview",
    "outbox",
    "history",
    "diagnosis",
    "sandbox",
    "widgets",
]

CORE = [name for name in ORDER if name not in {"diagnosis", "sandbox", "widgets"}]


def _module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def _layer(module: str) -> str:
    """Return the entry of ORDER that a module belongs to."""
    parts = module.split(".")
    return next(name for end in range(len(parts), 0, -1) if (name := ".".join(parts[:end])) in ORDER)


def _imports(path: Path) -> set[str]:
    """Return the docmail modules that a file imports when it runs, also inside functions."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []  # a name in an annotation is no dependency
    found: set[str] = set()
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {name.removeprefix("docmail.") for name in names if name.startswith("docmail.")}
    return found


def _modules() -> list[Path]:
    return [
        path
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name not in {"__main__.py", "_demo.py"} and path != PACKAGE / "__init__.py"
    ]


@pytest.mark.parametrize("path", _modules(), ids=_module_name)
def test_a_module_imports_only_what_stands_left_of_it(path: Path) -> None:
    mine = _layer(_module_name(path))
    for imported in _imports(path):
        theirs = _layer(imported)
        if mine == "transport" and theirs.startswith("transport."):
            continue  # the package opens its own parts
        assert theirs == mine or ORDER.index(theirs) < ORDER.index(mine), f"{mine} imports {imported}"


@pytest.mark.parametrize("path", _modules(), ids=_module_name)
def test_the_core_knows_nothing_of_jupyter(path: Path) -> None:
    if _layer(_module_name(path)) in CORE:
        words = {name.id for name in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(name, ast.Name)}
        assert not words & {"print", "input", "display"}
        text = path.read_text("utf-8")
        assert "import IPython" not in text
        assert "ipywidgets" not in text


HEAVY = [
    "ipywidgets",
    "IPython",
    "keyring",
    "fpdf",
    "h11",
    "ssl",
    "smtplib",
    "sqlite3",
    "email_validator",
    "jinja2",
    "mistune",
]


def _loaded_by(code: str) -> list[str]:
    report = f"{code}\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    return result.stdout.split()


def test_importing_docmail_loads_nothing_heavy() -> None:
    assert _loaded_by("import docmail") == []


def test_settings_and_errors_load_no_network_keyring_or_notebook() -> None:
    loaded = _loaded_by("import docmail; docmail.Settings; docmail.errors; docmail.presets; docmail.credentials")
    assert loaded == []


def test_the_core_works_without_jupyter() -> None:
    """Blocks ipywidgets, anywidget and IPython, and loads every module of the core."""
    code = "import sys\nfor name in ('ipywidgets', 'anywidget', 'IPython'): sys.modules[name] = None\n"
    code += "".join(f"import docmail.{name}\n" for name in CORE)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
