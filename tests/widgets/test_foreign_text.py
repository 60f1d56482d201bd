"""No text that comes from outside becomes HTML, in whatever view it is shown."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from docmail import errors
from docmail.diagnosis import Check, Diagnosis, DomainCheck, DomainReport, Standing, Subject
from docmail.documents import Document
from docmail.errors import Field, Phase, Problem, RowProblem
from docmail.message import Arrived
from docmail.outbox import Earlier, Happened, Page, Row
from docmail.outbox.rows import Recipient, Role, State
from docmail.reply import Certificate, Reply
from docmail.settings import Settings, SmtpServer
from docmail.widgets import display
from docmail.widgets.document import view as document_view
from docmail.widgets.mail import preview, reader, result
from docmail.widgets.mail.attachments import Attachments
from docmail.widgets.mail.form import MailForm
from docmail.widgets.mail.template_menu import TemplateMenu
from docmail.widgets.outbox import bad_rows, history_markup, run_markup
from docmail.widgets.parts import markup, rendered_mail
from docmail.widgets.parts.form_rows import Html, text
from docmail.widgets.parts.form_rows import Row as FormRow
from docmail.widgets.parts.painted import Painted
from docmail.widgets.settings import report, sign_in, support_report
from docmail.widgets.settings.form import SettingsForm

if TYPE_CHECKING:
    from collections.abc import Callable

EVIL = "\"'><img src=x onerror=alert(1)>"
ADDRESS = "a@example.com"


class Elements(HTMLParser):
    """Collects what a browser would run."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.run: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: D102 - HTMLParser's
        self.run += [f"{tag} {name}" for name, _value in attrs if name.startswith("on")]


def runs(html: str) -> list[str]:
    return Elements(html).run


def row(state: State = State.SENT, part: State = State.REFUSED) -> Row:
    reply = Reply(550, "5.1.1", EVIL)
    now = datetime.now(UTC)
    return Row(
        id=1, key=EVIL, batch=EVIL, state=state, to=(EVIL,), subject=EVIL, message_id=EVIL, created=now, sent_at=now,
        reply=reply, user=EVIL, sender=EVIL, reason=EVIL,
        recipients={EVIL: Recipient(part, reply, Role.TO, "5.1.1", EVIL)}, filed=False, not_filed=EVIL,
        documents=(EVIL,), body_sha256="", contents=("",), reply_to=None, given_sha256=None,
    )  # fmt: skip


CERTIFICATE = Certificate(EVIL, (EVIL,), EVIL, datetime.now(UTC), datetime.now(UTC), EVIL)
CHECK = Check(
    Phase.TLS, ok=False, text=EVIL, seconds=0.1, kind=errors.Kind.NETWORK, hint=EVIL, reply=Reply(550, "5.1.1", EVIL),
    fingerprint=EVIL, certificate=CERTIFICATE,
)  # fmt: skip
DIAGNOSIS = Diagnosis((Check(EVIL, ok=True, text=EVIL, seconds=0.1), CHECK))
SETTINGS = Settings(f"{EVIL} <{ADDRESS}>", SmtpServer(EVIL, username=EVIL), copy_to=EVIL)
FAILURE = errors.SendError(EVIL, kind=errors.Kind.NETWORK, hint=EVIL, reply=Reply(550, "5.1.1", EVIL), guide=EVIL)
SENT = SimpleNamespace(
    accepted=(EVIL,),
    refused={EVIL: Reply(550, "", EVIL)},
    bounced={EVIL: Reply(0, "", EVIL)},
    repeated=False,
    note=EVIL,
)
CODE = SimpleNamespace(url=f"https://example.com/{EVIL}", code=EVIL, seconds=60)


def evil_document() -> Document:
    # A name with such characters is refused; the views do not rely on it.
    document = Document.of(b"a,b\n1,2\n", name="a.csv")
    object.__setattr__(document, "name", EVIL)
    return document


def shown_preview() -> str:
    mail = preview.MailPreview()
    mail.show(EVIL, "", None)
    return mail.html


LETTER = reader.Letter(EVIL, [(EVIL, EVIL)], Arrived(EVIL, EVIL), [(EVIL, 1)])


class EvilLetters:  # noqa: D101
    title, empty, follows = EVIL, EVIL, False

    def numbers(self) -> list[int]:  # noqa: D102
        return list(range(30))

    def counted(self, _number: int) -> str:  # noqa: D102
        return EVIL

    def line(self, _number: int) -> reader.Line:  # noqa: D102
        return reader.Line(EVIL, EVIL, EVIL)

    def letter(self, _number: int) -> reader.Letter:  # noqa: D102
        return LETTER

    def document(self, _number: int, _position: int) -> None:  # noqa: D102
        return None


def read_mail() -> str:
    shown = reader.MailReader(EvilLetters())
    shown._show()
    return shown.screen.html + shown.screen.stored


def chosen_template() -> str:
    menu = TemplateMenu("", "", lambda _subject, _body: None)
    menu.chosen = menu._name = EVIL
    menu._naming = True
    menu._show(EVIL)  # type: ignore[arg-type]
    naming = menu.html
    menu._asked = EVIL
    menu._show()
    return naming + menu.html


def told(result: report.Result) -> str:
    """Return what the form shows of a result."""
    return markup.standing(result.kind, result.sentence) + result.details


VIEWS: dict[str, Callable[[], str]] = {
    "a problem": lambda: markup.problem(EVIL),
    "a warning": lambda: markup.warning(EVIL),
    "what was found": lambda: markup.found(EVIL, EVIL),
    "a failure": lambda: markup.failure(FAILURE),
    "an unforeseen failure": lambda: markup.failure(ValueError(EVIL)),
    "a short failure": lambda: markup.short_failure(ValueError(EVIL)),
    "checks": lambda: markup.checks(DIAGNOSIS.checks),
    "static words": lambda: markup.static(EVIL),
    "words beside": lambda: markup.beside(EVIL),
    "a line above a view": lambda: markup.heading(EVIL, EVIL),
    "a menu": lambda: markup.menu(EVIL, {EVIL: EVIL}, EVIL),
    "the page of a history": lambda: history_markup.table(
        Page((row(), row(State.UNKNOWN)), {"sent": 2}), 0, 1, markup.NOTHING, filtered=False
    ),
    "an opened mail": lambda: history_markup.detail(row(), asks="", said=EVIL),
    "a question about a mail": lambda: history_markup.detail(row(State.UNKNOWN), asks="again", said=""),
    "filters": lambda: history_markup.filters(dict.fromkeys(("who", "what", "reply"), EVIL)),
    "the last mails": lambda: run_markup.last_mails([Happened(1, State.REFUSED, EVIL)], {1: row()}),
    "the last mails of an outbox that is gone": lambda: run_markup.last_mails([Happened(1, State.REFUSED, EVIL)], {}),
    "from whom it came back": lambda: run_markup.missed(
        [row(State.SENT, State.BOUNCED)],
        2,
        row().id,
        EVIL,  # type: ignore[arg-type]
        off=False,
    ),
    "what is late": lambda: run_markup.late([row(State.SENT, State.SENT)]),
    "who was missed": lambda: run_markup.missed([row(State.FAILED)], 2, row().id, EVIL, off=False),  # type: ignore[arg-type]
    "an address to be corrected": lambda: run_markup.editor(row(State.FAILED), {"address-0": EVIL}, EVIL, off=False),
    "who gets several": lambda: run_markup.doubles(2, {EVIL: 2}),
    "a bar": lambda: markup.shares([(EVIL, 1)], 2, EVIL),
    "bad rows": lambda: bad_rows.table([RowProblem(1, EVIL, EVIL, EVIL)]),
    "a result": lambda: result.result([EVIL], SENT),  # type: ignore[arg-type]
    "an earlier mail": lambda: markup.paragraph(result.earlier(Earlier(row(), (EVIL,), same=False))),
    "the settings' heading": lambda: report.heading(EVIL, "saved", rehearsal=False),
    "how far a test is": lambda: markup.steps([EVIL], Phase.DNS) + markup.standing("idle", EVIL),
    "a failed test": lambda: told(report.failed(DIAGNOSIS, CHECK, SETTINGS, asks=True, beside_field=False)),
    "a domain's records": lambda: markup.domain(
        DomainReport(EVIL, EVIL, (DomainCheck(Subject.SPF, Standing.ADVICE, EVIL, EVIL),))
    ),
    "a certificate's question": lambda: report.certificate_question(CHECK, "trust"),
    "saved settings": lambda: told(report.saved(SETTINGS, errors.CredentialError(EVIL), EVIL, rehearsal=False)),
    "settings without a kernel": lambda: report.without_kernel(EVIL, SETTINGS),
    "a support report": lambda: support_report.section(DIAGNOSIS, SETTINGS),
    "a code for signing in": lambda: sign_in._shown(CODE),  # type: ignore[arg-type]
    "a link for signing in": lambda: sign_in._link(CODE.url),
    "displayed settings": lambda: display._settings(SETTINGS)["text/html"],
    "a displayed test": lambda: display._diagnosis(DIAGNOSIS)["text/html"],
    "a displayed result": lambda: display._send_result(SENT)["text/html"],  # type: ignore[arg-type]
    "a mail without a kernel": lambda: reader.letter_without_kernel(LETTER),
    "a mail as it arrives": lambda: rendered_mail.rendered(LETTER.mail),
    "a mail in a reader": read_mail,
    "facts of a document": lambda: document_view.facts_of(evil_document()),
    "a document's picture": lambda: document_view._picture(evil_document(), b"", 1),
    "an attached document": lambda: Attachments([evil_document()]).html,
    "a mail's preview": shown_preview,
    "a template": chosen_template,
}


@pytest.mark.parametrize("view", VIEWS)
def test_foreign_text_stays_text(view: str) -> None:
    html = VIEWS[view]()
    assert "onerror" in html  # it is shown
    assert runs(html) == []


def test_the_forms_show_foreign_text_as_text() -> None:
    form = SettingsForm()
    form.fill(host=EVIL, username=EVIL, sender=EVIL, profile=EVIL)
    form._show_problems([Problem(Field.HOST, EVIL)])
    form._show_failure(FAILURE)
    assert "onerror" in form.report.value
    assert "onerror" in form.rows[Field.HOST].note
    assert "onerror" in form.actions.status["sentence"]
    assert runs(form.actions.status["sentence"]) == []
    assert runs(form.report.value + "".join(note + above for _kind, note, above in form.rows.notes.values())) == []
    mail = MailForm([evil_document()], EVIL, EVIL, EVIL, open_settings=lambda: None)
    mail._show_failure(FAILURE)
    with suppress(errors.DocmailError):
        mail.send_mail()
    notes = "".join(note for _kind, note, _above in mail.rows.notes.values())
    assert runs(mail.report.value + notes + mail.attachments.html + mail.preview.html) == []


def test_whatever_is_no_markup_is_text_where_it_is_shown() -> None:
    html = Html(value=EVIL)
    assert runs(html.value) == []
    html.value += EVIL
    assert runs(html.value) == []
    painted = Painted(stored=EVIL)
    painted.draw(zone=EVIL)
    assert runs(painted.stored + painted.html) == []
    line = FormRow("name", text("Name"), hint=EVIL)
    assert runs(line.note) == []
    line.hint = EVIL + EVIL
    assert runs(line.note) == []
