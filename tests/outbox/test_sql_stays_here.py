"""SQL stands in five modules of the outbox and nowhere else, and no two modules of a room need each other."""

from __future__ import annotations

import ast
import inspect
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import docmail
from docmail.outbox.changes import Changes
from docmail.outbox.journal import Journal
from docmail.outbox.queue import Queue
from docmail.outbox.search import History

PACKAGE = Path(docmail.__file__).parent
HOMES = {PACKAGE / "outbox" / f"{name}.py" for name in ("schema", "journal", "changes", "queue", "search")}

# Statements, and the pieces that make up conditions. Capitals, because sentences have these words, too.
_SQL = re.compile(
    r"\b(SELECT|INSERT|REPLACE|UPDATE|DELETE|CREATE|ALTER|DROP|PRAGMA|VACUUM|ATTACH|ANALYZE|SAVEPOINT) +[\w*\"({]"
    r"|^\s*(BEGIN|COMMIT|ROLLBACK)\b"
    r"|\b(WHERE|FROM|JOIN|EXISTS|LIKE|ORDER BY|GROUP BY|LIMIT|OFFSET|IN) +[?:\w({']"
    r"|\bIS (NOT )?NULL\b"
    r"|( |\b[a-z_]+)(=|<>|!=|<=|>=|<|>) ?\?(?=[\s,)]|$)"
    r"|\b(AND|OR) +(NOT\b|[a-z_(?{])"
)
_TAKES_SQL = {"execute", "executemany", "executescript"}
_KERNELS = {"client", "self.kc"}  # they execute cells


def _modules() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path not in HOMES]


def _named(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def sql_in(source: str) -> list[str]:
    """Return what of a module is SQL, or hands it on: texts other than docstrings, and calls."""
    tree = ast.parse(source)
    # A text that stands alone is a docstring, or what is said below an attribute.
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in said and _SQL.search(node.value):
                found.append(f"{node.lineno}: {node.value!r}")
        elif isinstance(node, ast.Attribute) and node.attr in _TAKES_SQL and ast.unparse(node.value) not in _KERNELS:
            found.append(f"{node.lineno}: {node.attr}")
    return found


@pytest.mark.parametrize("path", _modules(), ids=_named)
def test_no_other_module_has_sql(path: Path) -> None:
    assert sql_in(path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", sorted(HOMES), ids=_named)
def test_each_of_the_five_has_sql(path: Path) -> None:
    """So that the list above is no longer than it must be, and what looks for SQL finds it."""
    assert sql_in(path.read_text("utf-8")) != []


@pytest.mark.parametrize(
    "line",
    [
        'database.execute("BEGIN IMMEDIATE")',
        'text = "rollback"; connection.execute(text)',
        """store.rows("state = 'queued' AND (? IS NULL OR batch = ?)", (batch, batch))""",
        'store.count("current AND NOT single")',
        'f"id IN ({which})"',
        'question = "SELECT max(id) FROM mail"',
        'f"{column} = ?"',
        'f"SELECT id FROM mail WHERE {PARTLY} ORDER BY id LIMIT ?"',
    ],
)
def test_sql_is_recognised_however_it_is_put_together(line: str) -> None:
    assert sql_in(line)


@pytest.mark.parametrize(
    "line",
    [
        '_("Where does mail go, and as whom? Select the profile from the list.")',
        '"DELETE"',
        '"""UPDATE mail SET state"""',
        'headers = {"From": sender}',
        "store.rows(numbers)",
    ],
)
def test_prose_is_no_sql(line: str) -> None:
    assert sql_in(line) == []


@pytest.mark.parametrize("journal", [Journal, Changes, Queue, History])
def test_what_the_journal_is_asked_by_others_has_a_name_and_takes_no_sql(journal: type) -> None:
    taken = {
        f"{name}({parameter})"
        for name, method in inspect.getmembers(journal, inspect.isfunction)
        if not name.startswith("_")
        for parameter in inspect.signature(method).parameters
    }
    suspicious = re.compile(r"\((where|which|condition|question|query|statement|sql|parameters)\)")
    assert [each for each in taken if suspicious.search(each)] == []


# --- circles ---

ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def imports_within(room: str) -> dict[str, set[str]]:
    """Return which modules of a package each of them imports, also for annotations and inside functions."""
    paths = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in (PACKAGE / room).rglob("*.py")}
    modules = {name: path for name, path in paths.items() if path.name != "__init__.py"}
    drawn: dict[str, set[str]] = {}
    for name, path in modules.items():
        drawn[name] = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            drawn[name] |= {each.removeprefix("docmail.") for each in names} & modules.keys()
        drawn[name].discard(name)
    return drawn


@pytest.mark.parametrize("room", ROOMS)
def test_the_modules_of_a_room_import_each_other_in_one_direction(room: str) -> None:
    try:
        TopologicalSorter(imports_within(room)).prepare()
    except CycleError as exc:
        pytest.fail(" -> ".join(exc.args[1]))
