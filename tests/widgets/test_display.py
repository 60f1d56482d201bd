from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import fpdf
import ipywidgets
import pandas as pd
import polars as pl
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


def test_a_document_is_shown_as_a_view_below_a_static_fallback_for_readers_without_a_kernel(shell: Any) -> None:
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


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the shell of a notebook, in front of which somebody sits, after `%load_ext docmail`."""
    made: Any = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    made.kernel = object()
    monkeypatch.setattr("docmail.home.is_unattended", lambda: False)
    monkeypatch.setattr("docmail.widgets.outbox.bad_rows.register", lambda _shell: None)
    for name in ("runs", "preparations"):
        monkeypatch.setattr(f"docmail.outbox.observers.{name}", [])
    docmail.load_ipython_extension(made)
    return made


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": [1, 2]}),
        pl.DataFrame({"a": [1, 2]}),
        pd.Series([1, 2], name="a"),
        pl.Series("a", [1, 2]),
        type("Special", (pd.DataFrame,), {})({"a": [1, 2]}),
    ],
    ids=["pandas", "polars", "pandas series", "polars series", "subclass"],
)
def test_after_loading_the_extension_a_table_keeps_its_look_and_gets_an_email_button(tables: Any, frame: Any) -> None:
    """Nothing is made of it before the button is pressed."""
    tables.display_formatter.ipython_display_formatter.enabled = False
    before, metadata = tables.display_formatter.format(frame)
    tables.display_formatter.ipython_display_formatter.enabled = True
    shown: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("IPython.display.display", lambda bundle, **options: shown.append((bundle, options)))
        patch.setattr("docmail.documents.document.file_of", lambda *_args: pytest.fail("it is not pressed"))
        tables.display_formatter.format(frame)
    own, nothing, live = shown
    assert own == (before, {"metadata": metadata, "raw": True})
    assert ">a<" not in nothing[0]["text/html"]
    assert LIVE in live[0]
    docmail.unload_ipython_extension(tables)
    assert displayed(tables, frame) == before


def test_a_table_that_is_drawn_by_somebody_else_stays_so(tables: Any) -> None:
    """As after `itables.init_notebook_mode()`, or by a class that displays itself."""
    html = tables.display_formatter.formatters["text/html"]
    html.for_type(pd.DataFrame, lambda _frame: "<b>interactive</b>")
    own, *_others = outputs_of_table(tables, pd.DataFrame({"a": [1]}))
    assert own["text/html"] == "<b>interactive</b>"
    html.pop(pd.DataFrame)
    seen: list[object] = []
    itself = type("Itself", (pd.DataFrame,), {"_ipython_display_": seen.append})({"a": [1]})
    _nothing, live = outputs_of_table(tables, itself)
    assert len(seen) == 1
    assert LIVE in live


def outputs_of_table(shell: Any, frame: object) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("IPython.display.display", lambda bundle, **_options: shown.append(bundle))
        shell.display_formatter.format(frame)
    return shown


def test_where_nobody_presses_a_button_a_table_has_none(tables: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("docmail.home.is_unattended", lambda: True)
    (own,) = outputs_of_table(tables, pd.DataFrame({"a": [1]}))
    assert "text/html" in own


def test_in_a_terminal_a_table_is_left_alone(foreign: Any) -> None:
    frame = pd.DataFrame({"a": [1]})
    assert displayed(foreign, frame)["text/plain"] == repr(frame)


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
            ["1 email was added to “b”. 1 row was skipped:", "is not one."],
        ),
        (
            Added("{b}", 0, 2_000, left_out=1),
            ["0 emails", "“{b}”. 2,000 were there already. 1 empty row was left out."],
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
    for name in ("runs", "preparations"):
        monkeypatch.setattr(f"docmail.outbox.observers.{name}", [])
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


def test_marimo_which_asks_for_display_is_told_what_to_do_instead() -> None:
    """It supports no Jupyter widgets, so there is no form that running the cell would open."""
    form = docmail.SettingsForm()._display_()._repr_html_()
    assert "marimo cannot show this" in form
    assert "docmail.Settings(...).save()" in form
    assert "Run this cell" not in form
    button = docmail.EmailButton(docmail.Document.of(b"a,b", name="<b>.csv"))._display_()._repr_html_()
    assert "docmail.send(document" in button
    assert "&lt;b&gt;.csv" in button


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (Check("folders", ok=True, text="copies go to “Sent”", seconds=0.1), "The mailbox was opened."),
        (
            Check("dns", ok=False, text="No such host.", seconds=0.1, field="mailbox_host", kind=Kind.CONFIG),
            "The mailbox was not opened.",
        ),
        (Check("data", ok=True, text="250 Ok", seconds=0.1), "The test email was sent."),
    ],
)
def test_a_test_of_the_mailbox_says_nothing_of_an_email(shell: Any, check: Check, said: str) -> None:
    assert said in displayed(shell, Diagnosis((check,)))["text/html"]


def test_a_result_says_from_whom_a_mail_came_back_without_the_address(shell: Any) -> None:
    reply = Reply(0, "5.1.1", "There is no such mailbox; check the address.")
    result = SendResult("<a@b>", ("gone@example.com",), {}, Reply(250, "", "Ok"), bounced={"gone@example.com": reply})
    html = displayed(shell, result)["text/html"]
    assert "bounced" in html
    assert "There is no such mailbox" in html
    assert "gone@" not in html
