"""What is public says what it does for its caller and what its parameters are, and shows it in an example that runs."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
from functools import cached_property
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

import docmail
from docmail import diagnosis, message, outbox, reply, sandbox, settings, transport
from docmail.outbox.preview import PreviewedMail
from docmail.outbox.rows import Recipient
from tests.support.jupyter import write_notebook

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

MODULES = [
    docmail,
    docmail.credentials,
    docmail.errors,
    docmail.look,
    docmail.mailbox,
    docmail.notebook,
    docmail.presets,
    docmail.reports,
]

# What the public functions and methods return, and the values that they take.
RETURNED: dict[ModuleType, list[Any]] = {
    diagnosis: [diagnosis.Check, diagnosis.Diagnosis, diagnosis.DomainReport],
    message: [message.Merge],
    outbox: [
        outbox.Added,
        outbox.FiledCopies,
        outbox.FoundBounces,
        outbox.Preview,
        PreviewedMail,
        Recipient,
        outbox.Role,
        outbox.Row,
        outbox.Run,
        outbox.SavedDrafts,
        outbox.SettledDoubts,
        outbox.State,
    ],
    reply: [reply.Certificate, reply.Reply],
    sandbox: [sandbox.Attachment, sandbox.Inbox, sandbox.ReceivedMail],
    settings: [settings.Account, settings.Security, settings.SignIn],
    transport: [transport.SendResult],
}

FOR_DOCMAIL_ITSELF = "for docmail itself"
"""What says this in its docstring is called by docmail's own threads, forms and servers, and needs no example."""


def named() -> Iterator[tuple[str, Any]]:
    """Yield each public class and function under the name by which a person calls it, and what is returned."""
    for module in MODULES:
        room = "" if module is docmail else f"{module.__name__.rpartition('.')[2]}."
        yield from ((f"{room}{name}", getattr(module, name)) for name in module.__all__)
    for module, classes in RETURNED.items():
        yield from ((f"{module.__name__.rpartition('.')[2]}.{each.__name__}", each) for each in classes)


def members(value: Any) -> dict[str, Any]:
    """Return the public methods and properties that a class has of its own."""
    if not inspect.isclass(value):
        return {}
    found = {key: member for key, member in vars(value).items() if not key.startswith("_")}
    return {
        key: getattr(member, "__func__", member)
        for key, member in found.items()
        if isinstance(member, (property, cached_property)) or inspect.isfunction(getattr(member, "__func__", member))
    }


def public() -> Iterator[tuple[str, Any]]:
    for name, value in named():
        if inspect.isclass(value) or inspect.isfunction(value):
            yield name, value
            yield from ((f"{name}.{key}", member) for key, member in members(value).items())


PUBLIC = dict(public())


def is_exception(value: Any) -> bool:
    """Whether docmail alone makes it, and whoever catches it reads it."""
    return inspect.isclass(value) and issubclass(value, BaseException)


def doc_of(value: Any) -> str:
    """Return its own docstring, not one that it inherits or that `dataclass` has made of its fields."""
    text = inspect.cleandoc(vars(value).get("__doc__") or "") if inspect.isclass(value) else inspect.getdoc(value) or ""
    return "" if inspect.isclass(value) and text.startswith(f"{value.__name__}(") else text


def examples_of(value: Any) -> str:
    return "\n".join(each.source for each in doctest.DocTestParser().get_examples(doc_of(value)))


def shown(name: str, value: Any) -> bool:
    """Whether an example calls it: its own, or for a method one of its class or of another of its methods."""
    if own := examples_of(value):
        return bool(own)
    whole, _, method = name.rpartition(".")
    if not inspect.isclass(PUBLIC.get(whole)):
        return False
    of_class = [PUBLIC[whole], *members(PUBLIC[whole]).values()]
    return any(re.search(rf"\.{method}\(", examples_of(each)) for each in of_class)


def explained(value: Any) -> str:
    """Return what explains the parameters: the docstring, those below the fields, or the head of the data."""
    text, _, _ = doc_of(value).partition("\n>>> ")
    if inspect.isclass(value):
        body = ast.parse(inspect.getsource(value)).body[0].body  # type: ignore[attr-defined]
        for field, below in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                text += f"\n{ast.unparse(field.target)}"
    for file in re.findall(r"explained at the top of `(\w+\.toml)`", text):
        head, _, _ = resources.files(docmail.presets).joinpath(file).read_text("utf-8").partition("\n\n")
        text += head
    return text


def parameters_of(value: Any) -> list[str]:
    """Return what a caller gives; nothing for what docmail alone makes, or Python (enums, tuples)."""
    if isinstance(value, (property, cached_property)) or is_exception(value):
        return []
    if inspect.isclass(value) and "__init__" not in vars(value):
        return []
    names = inspect.signature(value).parameters
    return [name for name in names if name not in {"self", "cls"} and not name.startswith("_")]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_a_public_module_says_what_it_is_for(module: ModuleType) -> None:
    assert re.match(r"[A-Z].*[.:]\n", f"{inspect.getdoc(module)}\n")


def test_everything_public_has_a_docstring_that_begins_with_a_sentence() -> None:
    assert [name for name, value in PUBLIC.items() if not re.match(r"\S.*[.:;]$", doc_of(value), re.MULTILINE)] == []


def test_a_docstring_mentions_each_parameter() -> None:
    missing = {
        name: [each for each in parameters_of(value) if not re.search(rf"\b{each}\b", explained(value))]
        for name, value in PUBLIC.items()
    }
    assert {name: those for name, those in missing.items() if those} == {}


def test_everything_that_is_called_is_shown_in_an_example() -> None:
    """An exception is caught, as the examples of the tree show; a property stands beside the class's example."""
    lacking = [
        name
        for name, value in PUBLIC.items()
        if not is_exception(value)
        and not isinstance(value, (property, cached_property))
        and FOR_DOCMAIL_ITSELF not in " ".join(doc_of(value).split())
        and not shown(name, value)
    ]
    assert lacking == []


def test_the_tree_of_exceptions_is_drawn_and_shown() -> None:
    tree = [
        value for value in PUBLIC.values() if is_exception(value) and issubclass(value, docmail.errors.DocmailError)
    ]
    assert [each.__name__ for each in tree if f" {each.__name__} " not in f" {docmail.errors.__doc__} "] == [
        "DocmailError"  # its root, at the beginning of a line
    ]
    assert examples_of(docmail.errors.DocmailError)
    assert examples_of(docmail.errors.SendError)


@pytest.mark.parametrize("name", [name for name, value in PUBLIC.items() if examples_of(value)])
def test_an_example_gives_what_it_says(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    value = PUBLIC[name]
    monkeypatch.setattr("getpass.getpass", lambda *_: "correct horse")  # what a person would type
    if name.startswith("notebook."):
        monkeypatch.chdir(tmp_path)
        write_notebook(tmp_path / "report.ipynb", "print('Sales rose.')")
    frame = pd.DataFrame(
        {"Customer": ["Adams", "Botha"], "E-mail": ["adams@example.com", "botha@example.com"], "Amount": [1234.5, 99.0]}
    )
    pdf = docmail.reports.Report().text("Sales rose.").pdf()
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([1, 2, 3])
    server = docmail.SmtpServer("mail.example.com", username="ann@example.com")
    with docmail.Sandbox() as box:
        box.settings.save()
        names = {
            "docmail": docmail,
            "box": box,
            "settings": box.settings,
            "work": docmail.Settings("ann@example.com", server),
            "pdf": pdf,
            "frame": frame,
            "figure": figure,
            "folder": tmp_path,
            "Path": Path,
            "Secret": docmail.credentials.Secret,
        }
        example = doctest.DocTestParser().get_doctest(doc_of(value), names, name, None, 0)
        wrong: list[str] = []
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=wrong.append)
    assert not wrong, "".join(wrong)
