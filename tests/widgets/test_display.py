from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import fpdf
import ipywidgets
import pytest
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.figure import Figure
from traitlets.config import Config

import docmail
from docmail.diagnosis import Check, Diagnosis
from docmail.errors import Kind, RowProblem
from docmail.outbox import Added
from docmail.reply import Reply
from docmail.reports import Report
from docmail.settings import HttpServer, Security, Settings, SmtpServer
from docmail.transport import SendResult
from docmail.widgets import register
from docmail.widgets.parts.painted import Painted

if TYPE_CHECKING:
    from collections.abc import Iterator

LIVE = "application/vnd.jupyter.widget-view+json"

SETTINGS = Settings("Accounts", SmtpServer("smtp.example.com", username="accounts@example.com"))


@pytest.fixture(scope="module")
def shell() -> Any:
    """Return an IPython in which docmail's displays are registered."""
    made = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    register(made)
    return made


def displayed(shell: Any, value: object) -> dict[str, Any]:
    data, _metadata = shell.display_formatter.format(value)
    return dict(data)


def outputs(shell: Any, value: object) -> list[dict[str, Any]]:
    """Return the outputs that showing a value puts under the cell."""
    shown: list[dict[str, Any]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("IPython.display.display", lambda bundle, *, raw: shown.append(bundle) if raw else None)
        shell.display_formatter.format(value)
    return shown


def test_a_document_is_shown_as_a_live_view_below_words_for_whoever_has_no_kernel(shell: Any) -> None:
    words, live = outputs(shell, docmail.Document.of(b"a,b", name="table.csv"))
    assert "table.csv" in words["text/html"]
    assert "docmail-static" in words["text/html"]
    assert LIVE in live
    assert "text/html" not in live, "it would be shown a second time without a kernel"


@pytest.fixture
def foreign(shell: Any) -> Iterator[Any]:
    """Return the shell after `%load_ext docmail`."""
    docmail.load_ipython_extension(shell)
    yield shell
    docmail.unload_ipython_extension(shell)


def pdf(*, pages: int = 1) -> fpdf.FPDF:
    made = fpdf.FPDF()
    made.set_title("Q3")
    for _page in range(pages):
        made.add_page()
    return made


def test_after_loading_the_extension_an_fpdf_object_and_its_subclass_are_shown_as_documents(foreign: Any) -> None:
    class Letter(fpdf.FPDF):
        pass

    letter = Letter()
    letter.add_page()
    for value, name in ((pdf(), "Q3.pdf"), (letter, "document.pdf")):
        words, live = outputs(foreign, value)
        assert name in words["text/html"]
        assert "image/png" in words
        assert LIVE in live


def test_after_loading_the_extension_a_figure_keeps_its_picture_and_gets_an_email_button(foreign: Any) -> None:
    figure = Figure(figsize=(3, 2))
    figure.subplots().plot([1, 3, 2])
    foreign.display_formatter.formatters["image/png"].for_type(Figure, lambda _figure: b"picture")
    picture, words, live = outputs(foreign, figure)
    assert picture["image/png"] == b"picture"
    assert "figure.pdf" in words["text/html"]
    assert "image/png" not in words, "it stands above"
    assert LIVE in live


def test_a_report_is_shown_like_the_document_that_it_becomes(shell: Any) -> None:
    words, live = outputs(shell, Report("Q3").text("Hello"))
    assert "image/png" in words
    assert words["text/plain"].startswith("<Document Q3.pdf")
    assert LIVE in live


def test_an_fpdf_object_without_a_page_says_what_is_missing(foreign: Any) -> None:
    (shown,) = outputs(foreign, pdf(pages=0))
    assert "no page yet" in shown["text/html"]
    assert "FPDF" in shown["text/plain"]


def test_without_the_extension_or_after_unloading_it_others_objects_are_left_alone(shell: Any) -> None:
    assert outputs(shell, pdf()) == []
    docmail.load_ipython_extension(shell)
    assert outputs(shell, pdf())
    docmail.unload_ipython_extension(shell)
    docmail.unload_ipython_extension(shell)
    assert outputs(shell, pdf()) == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (SETTINGS, ["smtp.example.com:587", "STARTTLS", "complete"]),
        (Settings("A", SmtpServer("", 25, Security.NONE)), ["NONE", "2 problems"]),
        (Settings("A", HttpServer("h.example.com"), reply_to=("r@example.com",)), ["HTTP", "h.example.com"]),
        (
            SendResult("<1@x>", ("a@example.com",), {"b@example.com": Reply(550, "5.1.1", "<b>no b@example.com")}),
            ["Sent to 1 recipient.", "refused", "550 5.1.1 &lt;b&gt;no"],
        ),
        (SendResult("<1@x>", ("a@example.com",), repeated=True), ["not sent again"]),
        (
            Added("b", 1, 0, (RowProblem(2, "a@example.com", "to", "“b@example.com; c@example.com” is not one."),)),
            ["&lt;Added 1", "is not one."],
        ),
        (
            Diagnosis(
                (
                    Check("dns", ok=True, text="found", seconds=0.01),
                    Check(
                        "auth", ok=False, text="<b>a@example.com is refused.", seconds=1, kind=Kind.AUTH, hint="Check."
                    ),
                )
            ),
            ["was not sent", "sign-in", "is refused. Check.", "&lt;b&gt;"],
        ),
    ],
)
def test_an_object_says_what_matters_in_a_line_and_names_no_address(
    shell: Any, value: object, words: list[str]
) -> None:
    data = displayed(shell, value)
    assert set(data) == {"text/html", "text/plain"}
    for word in words:
        assert word in data["text/html"]
    stored = data["text/html"] + data["text/plain"]
    assert "example.com" not in stored.replace("smtp.example.com", "").replace("h.example.com", "")
    assert "<b>no" not in stored


def test_an_outbox_is_shown_by_its_counts(shell: Any, box: docmail.Sandbox) -> None:
    assert "empty" in outputs(shell, docmail.Outbox())[0]["text/html"]
    docmail.send(docmail.Document.of(b"a,b", name="t.csv"), to="a@example.com", subject="S", settings=box.settings)
    outbox = docmail.Outbox()
    outbox.close()
    words, live = outputs(shell, outbox)
    assert "1 sent" in words["text/html"]
    assert "@example" not in json.dumps([words, live])
    assert LIVE in live


def test_a_received_mail_is_shown_as_text_whatever_it_contains(shell: Any, box: docmail.Sandbox) -> None:
    docmail.send(
        docmail.Document.of(b"a,b", name="t.csv"),
        to="a@example.com",
        subject="<b>S",
        body="<script>alert(1)</script>",
        settings=box.settings,
    )
    data = displayed(shell, box.inbox[0])
    for words in ("&lt;b&gt;S", "&lt;script&gt;", "t.csv (3 bytes)", "a@example.com"):
        assert words in data["text/html"]
    listed = displayed(shell, box.inbox)["text/html"]
    assert "1 mail" in listed
    assert "&lt;b&gt;S" in listed
    assert "@" not in listed


def test_registering_loads_nothing() -> None:
    code = (
        "import sys\n"
        "class Formatter:\n    def for_type_by_name(self, *args): pass\n"
        "class Shell: pass\n"
        "shell = Shell(); shell.display_formatter = Shell()\n"
        "shell.display_formatter.mimebundle_formatter = Formatter()\n"
        "shell.display_formatter.ipython_display_formatter = Formatter()\n"
        "from docmail.widgets import register, register_foreign\n"
        "register(shell)\nregister_foreign(shell)\n"
        "heavy = ('ipywidgets', 'anywidget', 'mistune', 'pypdfium2', 'keyring', 'matplotlib', 'fpdf')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_test_names_its_own_address_on_the_screen_and_not_in_the_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """“Signed in as …@…” told the person in front of the screen nothing."""
    for name in ("watchers", "makings"):
        monkeypatch.setattr(f"docmail.widgets.display.{name}", [])
    monkeypatch.setattr("docmail.widgets.outbox.bad_rows.register", lambda _shell: None)
    kernel: Any = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    kernel.kernel = object()
    register(kernel)
    checks = (
        Check("credential", ok=True, text="signed in as accounts@example.com", seconds=0.01),
        Check("rcpt", ok=False, text="<me@example.com> is refused.", seconds=1, kind=Kind.RECIPIENT, hint="Check."),
    )
    words, live = outputs(kernel, Diagnosis(checks))
    view = ipywidgets.widgets.widget._instances[live[LIVE]["model_id"]]
    [painted] = [child for child in view.children if isinstance(child, Painted)]
    assert "signed in as accounts@example.com" in painted.html
    assert "&lt;me@example.com&gt; is refused. Check." in painted.html
    kept = json.dumps([words, view.get_state(), *(child.get_state() for child in view.children)], default=str)
    assert "example.com" not in kept
    assert "signed in as" in kept
