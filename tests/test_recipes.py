"""Each recipe of docs/how-do-i.md runs as it stands, and does what its question asks for."""

from __future__ import annotations

import ast
import datetime as dt
import io
import re
import shlex
import subprocess
from dataclasses import replace
from email.utils import parsedate_to_datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import pypdf
import pytest
import time_machine
from nbformat.v4 import new_code_cell, new_notebook

import docmail
from docmail.command_line import main
from docmail.home import user_home
from docmail.sandbox import SANDBOX_PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from docmail.sandbox import Attachment, ReceivedMail, Sandbox

PAGE = Path(__file__).parent.parent / "docs" / "how-do-i.md"

INVOICES = "2026-11 invoices"

KERNELSPEC = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}


class Block(NamedTuple):
    """A block of code: its language, and its text."""

    language: str
    text: str


def _sections() -> Iterator[tuple[str, list[Block]]]:
    """Yield each heading of the page with its blocks, in the order of the page; the first is what all go on from."""
    _before, *sections = re.split(r"^#+ (?=How do I )", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    for section in sections:
        heading, _, rest = section.partition("\n")
        yield heading, [Block(*each) for each in re.findall(r"^```(\w+)\n(.*?)^```$", rest, re.DOTALL | re.MULTILINE)]


START, *_OTHERS = _sections()
RECIPES = dict(_OTHERS)


class Kitchen:
    """Where one recipe is tried: the sandbox, a folder with `customers.csv`, and the names that all recipes go on from.

    Who checks a recipe prepares what its text takes for granted, calls `cook()`, and looks at what arrived.
    """

    def __init__(self, question: str, box: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.box = box
        self.folder = folder
        self.monkeypatch = monkeypatch
        self.question = question
        self.blocks = list(RECIPES[question])
        self.names: dict[str, Any] = {}
        for language, text in START[1]:
            if language == "csv":
                (folder / "customers.csv").write_text(text, "utf-8")
            else:
                self._python(text)

    def cook(self, replaced: Mapping[str, str] | None = None) -> Any:
        """Run the next block, and return the value that a cell would show.

        `replaced` is what cannot be on this computer: the name of a server.
        """
        language, text = self.blocks.pop(0)
        for old, new in (replaced or {}).items():
            assert old in text
            text = text.replace(old, new)
        if language == "python":
            return self._python(text)
        assert language == "console"
        for line in text.splitlines():
            assert line.startswith("$ ")
            self._shell(line.removeprefix("$ "))
        return None

    def _python(self, text: str) -> Any:
        tree = ast.parse(text)
        shown = None
        if isinstance(last := tree.body[-1], ast.Expr):
            del tree.body[-1]
            shown = compile(ast.Expression(last.value), f"<{self.question}>", "eval")
        exec(compile(tree, f"<{self.question}>", "exec"), self.names)  # noqa: S102 - that is the test
        return eval(shown, self.names) if shown else None  # noqa: S307 - and that

    def _shell(self, line: str) -> None:
        command, *arguments = shlex.split(line)
        if command == "docmail":
            assert main(arguments) == 0, line
        elif command == "export":
            name, _, value = arguments[0].partition("=")
            self.monkeypatch.setenv(name, str(Path(value).expanduser()))
        else:
            subprocess.run(line, shell=True, check=True)  # noqa: S602 - as in a terminal

    def add_invoices(self) -> docmail.Outbox:
        """Add the batch of the recipe for a CSV file, without sending it."""
        csv = self.folder / "customers.csv"
        outbox = docmail.Outbox()
        outbox.add_all(
            docmail.merge(csv, key="invoice_no", to="{{ email }}", subject="Invoice {{ invoice_no }}"), batch=INVOICES
        )
        return outbox

    @property
    def arrived(self) -> list[ReceivedMail]:
        """What arrived, newest last."""
        return list(self.box.inbox)

    @property
    def only(self) -> ReceivedMail:
        """The one mail that arrived."""
        (mail,) = self.arrived
        return mail


CHECKS: dict[str, Callable[..., None]] = {}


def answers(question: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Take a function for the check of this recipe."""

    def registered(check: Callable[..., None]) -> Callable[..., None]:
        CHECKS[question] = check
        return check

    return registered


@pytest.fixture
def kitchen(
    question: str, box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path
) -> Iterator[Kitchen]:
    """Return what a recipe is tried in; after the check, each of its blocks must have run."""
    assert home.is_dir()  # a new one, with a DOCMAIL_HOME in it
    monkeypatch.chdir(tmp_path)
    box.settings.save()
    with plt.rc_context({"backend": "agg"}):
        made = Kitchen(question, box, tmp_path, monkeypatch)
        yield made
        plt.close("all")
    assert made.blocks == [], "the check leaves these blocks out"


@pytest.mark.parametrize("question", RECIPES)
def test_a_recipe_does_what_its_question_asks_for(question: str, request: pytest.FixtureRequest) -> None:
    assert question in CHECKS, "no check says what this recipe promises"
    kitchen: Kitchen = request.getfixturevalue("kitchen")
    CHECKS[question](kitchen)


def test_the_page_has_these_twenty_recipes_each_with_code_and_a_link() -> None:
    assert set(RECIPES) == set(CHECKS)
    assert len(RECIPES) == 20
    assert all(RECIPES.values())
    text = PAGE.read_text("utf-8")
    for here, after in pairwise([*RECIPES, None]):
        section = text[text.index(f"## {here}\n") : text.index(f"## {after}\n") if after else len(text)]
        assert re.search(r"More: \[", section), here


def test_each_link_of_the_page_leads_to_a_file() -> None:
    links = re.findall(r"\]\(([^)#]+)", PAGE.read_text("utf-8"))
    assert links
    assert [link for link in links if not (PAGE.parent / link).is_file()] == []


def test_the_readme_leads_to_the_page() -> None:
    assert "](docs/how-do-i.md)" in (PAGE.parent.parent / "README.md").read_text("utf-8")


def names_of(mail: ReceivedMail) -> list[str]:
    return [each.name for each in mail.attachments]


def pdf_of(attachment: Attachment) -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(attachment.content))


@answers("How do I put a chart and a table into the text of a mail?")
def _chart(kitchen: Kitchen) -> None:
    kitchen.cook()
    mail = kitchen.only
    assert mail.attachments == ()
    picture, table, end = (mail.html.index(each) for each in ("<img", "48,200", "Kind regards"))
    assert picture < table < end
    (image,) = (part for part in mail.walk() if part.get_content_maintype() == "image")
    assert f'src="cid:{image["Content-ID"][1:-1]}"' in mail.html


@answers("How do I attach a DataFrame as an Excel file, a CSV file or a PDF?")
def _frame_attached(kitchen: Kitchen) -> None:
    kitchen.cook()
    excel, csv, pdf = kitchen.only.attachments
    assert [each.name for each in (excel, csv, pdf)] == ["sales.xlsx", "sales.csv", "sales.pdf"]
    sales = kitchen.names["sales"]
    pd.testing.assert_frame_equal(pd.read_excel(io.BytesIO(excel.content)), sales)
    pd.testing.assert_frame_equal(pd.read_csv(io.BytesIO(csv.content)), sales)
    assert pdf.pages == 1


@answers("How do I send the same report to three people without them seeing each other?")
def _blind_copies(kitchen: Kitchen) -> None:
    kitchen.cook()
    mail = kitchen.only
    people = ("ann@example.com", "ben@example.com", "cho@example.com")
    assert set(mail.recipients) == {"reports@example.com", *people}
    assert not any(person.encode() in mail.raw for person in people)


@answers("How do I send each customer their own invoice, from a CSV file?")
def _invoices(kitchen: Kitchen) -> None:
    assert dict(kitchen.cook()) == {"sent": 3}
    assert [(mail.recipients, mail.subject) for mail in kitchen.arrived] == [
        (("ann@example.com",), "Invoice 118"),
        (("ben@example.com",), "Invoice 119"),
        (("cho@example.com",), "Invoice 120"),
    ]
    for mail, name, amount in zip(
        kitchen.arrived, ("Ann Adams", "Ben Botha", "Cho Chen"), ("1250.50", "980.00", "410.75"), strict=True
    ):
        assert mail.text.startswith(f"Dear {name},")
        (invoice,) = mail.attachments
        assert f"{name}: EUR {amount}" in pdf_of(invoice).pages[0].extract_text()


@answers("How do I see what will go out before it does?")
def _seen_before(kitchen: Kitchen) -> None:
    outbox = kitchen.add_invoices()
    preview = kitchen.cook()
    assert [mail.subject for mail in preview] == ["Invoice 118", "Invoice 119"]
    assert [mail.recipients for mail in kitchen.arrived] == [("me@example.com",)] * 3
    assert {row.state for row in outbox} == {"queued"}


@answers("How do I go on after the kernel died, without sending anything twice?")
def _gone_on(kitchen: Kitchen) -> None:
    outbox = kitchen.add_invoices()
    outbox.run(limit=1)
    kitchen.box.drop("end", times=1)  # as if it had died after the last byte of the second
    outbox.run(limit=1)
    capture = io.StringIO()
    kitchen.monkeypatch.setattr("sys.stdout", capture)
    kitchen.cook()
    assert [mail.subject for mail in kitchen.arrived] == ["Invoice 118", "Invoice 119", "Invoice 120"]
    assert [row.state for row in outbox] == ["sent", "unknown", "sent"]
    assert capture.getvalue() == "2 ('ben@example.com',) Invoice 119\n"


@answers("How do I stay below my provider's limit?")
def _below_the_limit(kitchen: Kitchen) -> None:
    kitchen.add_invoices()
    run = kitchen.cook()
    assert dict(run) == {"sent": 2, "queued": 1}
    first, second = (mail.received for mail in kitchen.arrived)
    assert second - first > dt.timedelta(seconds=0.8)
    kitchen.names["outbox"].run(batch=INVOICES, rate="60/min", limit=2)  # tomorrow
    assert [mail.subject for mail in kitchen.arrived] == ["Invoice 118", "Invoice 119", "Invoice 120"]


@answers("How do I remind those who have not paid, in the same conversation?")
def _reminded(kitchen: Kitchen) -> None:
    kitchen.add_invoices().run()
    first = {mail.subject: mail["Message-ID"] for mail in kitchen.arrived}
    assert dict(kitchen.cook()) == {"sent": 2}
    reminders = kitchen.arrived[3:]
    assert [mail.recipients for mail in reminders] == [("ann@example.com",), ("cho@example.com",)]
    assert [mail["In-Reply-To"] for mail in reminders] == [first["Invoice 118"], first["Invoice 120"]]
    assert "EUR 1250.5" in reminders[0].text


@answers("How do I find out what bounced, and send it to the right address?")
def _bounced(kitchen: Kitchen) -> None:
    outbox = kitchen.add_invoices()
    kitchen.box.bounce("ben@example.com")
    outbox.run()
    capture = io.StringIO()
    kitchen.monkeypatch.setattr("sys.stdout", capture)
    kitchen.cook()
    assert capture.getvalue().startswith("ben@example.com ")
    assert len(capture.getvalue()) > len("ben@example.com \n")
    again = kitchen.arrived[-1]
    assert (again.recipients, again.subject) == (("ben@example.net",), "Invoice 119")
    assert len(kitchen.arrived) == 3
    assert {row.state for row in outbox} == {"sent"}


@answers("How do I have somebody look at the mails first, as drafts?")
def _drafts(kitchen: Kitchen) -> None:
    kitchen.cook()
    drafts = kitchen.box.mailbox["Drafts"]
    assert [mail.subject for mail in drafts] == [f"About invoice {number}" for number in (118, 119, 120)]
    assert kitchen.arrived == []
    docmail.Outbox().save_drafts(kitchen.names["letters"])
    assert len(list(kitchen.box.mailbox["Drafts"])) == 3


@answers("How do I send a mail tomorrow at eight?")
def _tomorrow(kitchen: Kitchen) -> None:
    assert kitchen.box.host  # it began before: its certificate is of today, by the clock that OpenSSL reads
    today = dt.datetime(2026, 12, 4, 16, 0, tzinfo=dt.UTC)
    with time_machine.travel(today, tick=False) as clock:
        kitchen.cook()
        docmail.Outbox().run()
        assert kitchen.arrived == []
        (row,) = docmail.Outbox()
        eight = row.send_at
        assert eight is not None
        assert eight.astimezone().replace(tzinfo=None) == dt.datetime(2026, 12, 5, 8, 0)  # noqa: DTZ001 - wall clock
        clock.move_to(eight)
        kitchen.cook()
        assert parsedate_to_datetime(kitchen.only["Date"]) == eight


@answers("How do I email a notebook every Monday morning?")
def _monday(kitchen: Kitchen) -> None:
    month = new_code_cell("month = '2026-10'", metadata={"tags": ["parameters"]})
    cells = [month, new_code_cell("print('Sales of', month, 'rose.')")]
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": KERNELSPEC}), kitchen.folder / "report.ipynb")
    # The job of the clock has no sandbox and no keyring: `docmail schedule` tries to sign in as it will have to.
    replace(kitchen.box.settings, home=user_home()).save()
    password = kitchen.folder / "password"
    password.write_text(SANDBOX_PASSWORD, "utf-8")
    password.chmod(0o600)
    kitchen.monkeypatch.setenv("DOCMAIL_PASSWORD_FILE", str(password))
    capture = io.StringIO()
    kitchen.monkeypatch.setattr("sys.stdout", capture)
    kitchen.cook()
    mail = kitchen.only
    assert mail.subject == "Sales 2026-11"
    assert "Sales of 2026-11 rose." in mail.text
    assert "print" not in mail.text
    (cron,) = (line for line in capture.getvalue().splitlines() if "0 7 * * 1 " in line)
    assert "report.ipynb" in cron
    assert "OnCalendar=Mon" in capture.getvalue()


@answers("How do I get the record of what was sent as a DataFrame?")
def _record(kitchen: Kitchen) -> None:
    outbox = kitchen.add_invoices()
    kitchen.box.answer("rcpt", "550 5.1.1 No such mailbox", recipient="ben@example.com")
    outbox.run()
    missed = kitchen.cook()
    assert missed.to_numpy().tolist() == [[INVOICES, "Invoice 119", "ben@example.com"]]
    assert len(kitchen.names["record"]) == 3


@answers("How do I send a PDF that only the recipient can open?")
def _locked(kitchen: Kitchen) -> None:
    kitchen.monkeypatch.setattr("getpass.getpass", lambda prompt: "correct horse" if "PDF" in prompt else "")
    kitchen.cook()
    (payslip,) = kitchen.only.attachments
    assert payslip.name == "payslip.pdf"
    assert b"correct horse" not in kitchen.only.raw
    locked = pdf_of(payslip)
    assert locked.is_encrypted
    assert not locked.decrypt("another")
    assert locked.decrypt("correct horse")
    assert "2,480.00" in locked.pages[0].extract_text()


@answers("How do I get our letterhead, and numbers as our readers write them?")
def _letterhead(kitchen: Kitchen) -> None:
    kitchen.cook()
    mail = kitchen.only
    assert "Larkfield Analytics" in mail.html
    assert "48.200" in mail.html
    assert "Ann Adams" in mail.text
    (report,) = mail.attachments
    page = pdf_of(report).pages[0].extract_text()
    assert "Larkfield Analytics" in page
    assert "114.830,75" in page
    docmail.send([], to="cfo@example.com", subject="Another", body="Hello")
    assert "Larkfield Analytics" in kitchen.arrived[-1].html


@answers("How do I sign in to Gmail?")
def _gmail(kitchen: Kitchen) -> None:
    kitchen.monkeypatch.setattr("getpass.getpass", lambda *_: "abcd efgh ijkl mnop")
    kitchen.cook()
    gmail = docmail.Settings.load()
    assert gmail.problems() == []
    assert gmail.account.host == "smtp.gmail.com"
    secret = docmail.credentials.get(gmail)
    assert secret is not None
    assert secret.reveal() == "abcdefghijklmnop"


@answers("How do I send from a shared mailbox, an alias or a second account?")
def _other_sender(kitchen: Kitchen) -> None:
    kitchen.cook()
    mail = kitchen.only
    assert mail["From"] == "Accounts <accounts@example.com>"
    assert mail.sender == "accounts@example.com"
    assert mail["Reply-To"] == "office@example.com"
    assert docmail.Settings.load() == kitchen.box.settings


@answers("How do I sign in on a server without a keyring?")
def _no_keyring(kitchen: Kitchen) -> None:
    import keyring
    import keyring.backends.fail

    keyring.set_keyring(keyring.backends.fail.Keyring())
    docmail.credentials.withdraw(kitchen.box.settings.account)
    with pytest.raises(docmail.errors.CredentialError):
        docmail.credentials.get(kitchen.box.settings)
    (Path.home() / ".docmail-password").write_text(f"{SANDBOX_PASSWORD}\n", "utf-8")  # with an editor
    kitchen.cook()
    assert len(kitchen.arrived) == 1
    assert docmail.credentials.where(kitchen.box.settings) == "environment"
    assert (Path.home() / ".docmail-password").stat().st_mode & 0o777 == 0o600


@answers("How do I use our company's server with its own certificate authority?")
def _own_authority(kitchen: Kitchen) -> None:
    box = kitchen.box
    own = Path(box.ca_file).read_bytes()
    kitchen.monkeypatch.setattr("getpass.getpass", lambda *_: SANDBOX_PASSWORD)
    there = {'"mail.example.com", port=587': f"{box.host!r}, port={box.port}"}
    (kitchen.folder / "company-ca.pem").write_bytes(own)
    assert kitchen.cook(there).ok
    assert kitchen.only.recipients == ("accounts@example.com",)
    without = docmail.Settings("Accounts", docmail.SmtpServer(box.host, box.port, username="accounts@example.com"))
    assert [str(check.phase) for check in docmail.send_test(without).checks if not check.ok] == ["tls"]


@answers("How do I test my code that sends mails?")
def _tested(kitchen: Kitchen) -> None:
    kitchen.cook()
    tests = {name: each for name, each in kitchen.names.items() if name.startswith("test_")}
    assert len(tests) == 2
    for test in tests.values():
        test()
    kitchen.names["pdf"] = b"no PDF"
    with pytest.raises(docmail.errors.DocumentError):
        tests["test_the_report_arrives_with_its_pdf"]()
    assert kitchen.arrived == []
