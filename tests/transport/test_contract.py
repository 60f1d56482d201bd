"""One contract for all ways of sending: SMTP, the HTTP form and each mail service, on real sockets to the sandbox.

The fake that connects nowhere keeps it as well; what it is given to answer is what the sandbox says by SMTP.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from docmail import credentials
from docmail.documents import Document
from docmail.errors import AuthenticationError, Deferred, Kind, MessageError, Phase, Refused
from docmail.message import Message
from docmail.presets import services
from docmail.replies import refusal
from docmail.reply import Reply
from docmail.sandbox import Sandbox
from docmail.secret import Secret
from docmail.settings import HttpServer
from docmail.transport import MemoryTransport, open_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docmail.errors import SendError
    from docmail.message import Mail
    from docmail.sandbox import ReceivedMail
    from docmail.settings import Settings
    from docmail.transport import SendResult, Transport

    Open = Callable[..., Transport]

APIS = [service.api for service in services.SERVICES]
PDF = b"%PDF-1.7\n" + bytes(range(256)) * 40 + b"\r\n--\r\n%%EOF\n"


@pytest.fixture(scope="module")
def _opened() -> Iterator[Sandbox]:
    with Sandbox() as box:
        yield box


@pytest.fixture
def box(_opened: Sandbox) -> Sandbox:
    _opened.reset()
    _opened.inbox.clear()
    return _opened


@pytest.fixture(params=["smtp", "form", "memory", *APIS])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def errors() -> list[SendError]:
    """Return what the fake raises."""
    return []


@pytest.fixture
def opened(box: Sandbox, way: str, errors: list[SendError]) -> Open:
    """Return what opens a transport of this way."""

    def respond(mail: Mail) -> dict[str, Reply]:
        if errors:
            raise errors[0]
        refused = {each: Reply(550, "5.1.1", "No") for each in mail.recipients if each.startswith("nobody@")}
        accepted = [address for address in mail.recipients if address not in refused]
        box.inbox.deliver(mail.sender, accepted, b"".join(mail.wire()))
        return refused

    def open_it(settings: Settings, secret: Secret | None = None) -> Transport:
        return MemoryTransport(respond) if way == "memory" else open_transport(settings, secret=secret)

    return open_it


def settings_of(box: Sandbox, way: str) -> Settings:
    if way in {"smtp", "memory"}:
        return box.settings
    return box.settings_for(way)


def send(opened: Open, settings: Settings, *, secret: Secret | None = None, **parts: object) -> SendResult:
    values: dict[str, object] = {"to": "cfo@example.com", "subject": "Q3", "body": "Attached.", **parts}
    mail = Message(**values).render(settings)  # type: ignore[arg-type]  # the fields of a message, as the test wants them
    with opened(settings, secret) as transport:
        return transport.send(mail)


def answer(box: Sandbox, way: str, errors: list[SendError], code: int) -> None:
    """Let the server refuse the mail with this HTTP status, or with what SMTP has for it."""
    smtp = {413: "552 5.3.4 Too large", 503: "451 4.3.0 Not now", 429: "451 4.7.0 Slow down"}
    if way == "smtp":
        box.answer("end", smtp[code])
    elif way == "memory":
        errors.append(refusal(Reply(int(smtp[code][:3]), *smtp[code][4:].split(" ", 1)), Phase.DATA, ""))
    else:
        box.answer("http", f"{code} Not now")


def test_a_mail_arrives_whole(box: Sandbox, way: str, opened: Open) -> None:
    result = send(opened, settings_of(box, way), cc="b@example.com", documents=Document.of(PDF, name="Q3.pdf"))
    assert result.accepted == ("cfo@example.com", "b@example.com")
    assert not result.refused
    assert result.reply is not None
    assert result.reply.positive
    [mail] = box.inbox
    assert mail.recipients == ("cfo@example.com", "b@example.com")
    assert "Attached." in (mail.html if way == "form" else mail.text)
    [attachment] = mail.attachments
    assert (attachment.name, attachment.media_type, attachment.content) == ("Q3.pdf", "application/pdf", PDF)


def test_letters_beyond_ascii_arrive_as_they_are(box: Sandbox, way: str, opened: Open) -> None:
    send(
        opened,
        settings_of(box, way),
        to='"Büro, Süd 😀" <süd@example.com>' if way in {"gmail", "graph"} else '"Büro, Süd 😀" <sued@example.com>',
        subject="Übersicht: 第3四半期 😀",
        body="Grüße, naïve 😀",
        documents=Document.of(PDF, name="Büro größer 😀.pdf"),
    )
    [mail] = box.inbox
    assert mail.subject == "Übersicht: 第3四半期 😀"
    assert mail.attachments[0].name == "Büro größer 😀.pdf"
    assert "Grüße, naïve 😀" in mail.html
    if way != "form":  # which knows addresses only
        assert mail["To"].addresses[0].display_name == "Büro, Süd 😀"


def test_a_blind_recipient_gets_the_mail_and_nobody_sees_them(box: Sandbox, way: str, opened: Open) -> None:
    blind = ("secret-one@example.com", "secret-two@example.com")
    result = send(opened, settings_of(box, way), bcc=list(blind), documents=Document.of(PDF, name="Q3.pdf"))
    assert set(result.accepted) == {"cfo@example.com", *blind}
    received: dict[str, ReceivedMail] = {each: mail for mail in box.inbox for each in mail.recipients}
    assert set(received) == {"cfo@example.com", *blind}
    for reader, mail in received.items():
        seen = mail.raw.decode("latin-1").lower()
        assert "bcc:" not in seen
        assert not [other for other in blind if other != reader and other in seen]


def test_a_refused_recipient_is_named_and_never_counted_as_reached(box: Sandbox, way: str, opened: Open) -> None:
    settings = settings_of(box, way)
    if way == "form":
        box.answer("http", "422 nobody@example.com: no such mailbox", recipient="nobody@example.com")
    partial = way in {"smtp", "memory", "postmark"}
    if partial:
        result = send(opened, settings, to="cfo@example.com, nobody@example.com")
        assert result.accepted == ("cfo@example.com",)
        assert list(result.refused) == ["nobody@example.com"]
        assert [mail.recipients for mail in box.inbox] == [("cfo@example.com",)]
    else:  # as a whole, or not at all
        with pytest.raises(Refused) as caught:
            send(opened, settings, to="cfo@example.com, nobody@example.com")
        assert caught.value.kind is (Kind.MESSAGE if way == "form" else Kind.RECIPIENT)
        assert not box.inbox


@pytest.mark.parametrize("code", [429, 503])
def test_not_now_may_be_repeated_later(
    box: Sandbox, way: str, code: int, opened: Open, errors: list[SendError]
) -> None:
    answer(box, way, errors, code)
    with pytest.raises(Deferred) as caught:
        send(opened, settings_of(box, way))
    assert caught.value.retry_after == (30 if way in APIS else None)
    assert not box.inbox
    box.reset()
    errors.clear()
    send(opened, settings_of(box, way))
    assert len(box.inbox) == 1


def test_a_wrong_key_is_a_matter_of_the_password_and_shows_nowhere(
    box: Sandbox, way: str, opened: Open, errors: list[SendError]
) -> None:
    settings = settings_of(box, way)
    if way == "form":
        assert isinstance(settings.server, HttpServer)
        box.answer("http", "401 Unauthorized")
        settings = replace(settings, server=replace(settings.server, username="me"))
    errors.append(refusal(Reply(535, "5.7.8", "No"), Phase.AUTH, ""))
    with pytest.raises(AuthenticationError) as caught:
        send(opened, settings, secret=Secret("wrong-and-secret"))
    assert caught.value.kind is Kind.AUTH
    assert caught.value.field == "password"
    assert "wrong-and-secret" not in f"{caught.value!s}{caught.value!r}{vars(caught.value)}"
    assert not box.inbox


def test_too_large_is_the_messages_fault(box: Sandbox, way: str, opened: Open, errors: list[SendError]) -> None:
    answer(box, way, errors, 413)
    with pytest.raises(Refused) as caught:
        send(opened, settings_of(box, way), documents=Document.of(PDF, name="Q3.pdf"))
    assert caught.value.kind is Kind.MESSAGE
    assert not box.inbox


@pytest.mark.parametrize("way", ["smtp", "form", "memory", "graph", "gmail", "mailgun", "postmark", "resend"])
def test_ten_megabytes_arrive_or_are_refused_before_anything_is_sent(box: Sandbox, way: str, opened: Open) -> None:
    content = b"%PDF-1.7\n" + b"0123456789" * 1_000_000 + b"\n%%EOF\n"
    limit = (service := services.by_api(way)) and service.max_bytes
    document = Document.of(content, name="large.pdf")
    if limit and limit < 14_000_000:
        with pytest.raises(Refused, match="accepts at most") as caught:
            send(opened, settings_of(box, way), documents=document)
        assert caught.value.kind is Kind.MESSAGE
        assert not box.inbox
        return
    seen: list[tuple[int, int]] = []
    settings = settings_of(box, way)
    mail = Message("cfo@example.com", "Q3", documents=document).render(settings)
    with opened(settings) as transport:
        transport.send(mail, lambda sent, size: seen.append((sent, size)))
    assert box.inbox[0].attachments[0].content == content
    assert seen[-1][0] == seen[-1][1]


def test_a_document_that_changes_meanwhile_is_no_mail(box: Sandbox, way: str, opened: Open) -> None:
    settings = settings_of(box, way)
    document = Document.of(PDF, name="Q3.pdf")
    mail = Message("cfo@example.com", "Q3", documents=document).render(settings)
    longer = replace(mail, attachments=(replace(mail.attachments[0], size=len(PDF) - 1),))
    with pytest.raises(MessageError), opened(settings) as transport:
        transport.send(longer)
    assert not box.inbox


def test_the_password_of_one_account_is_not_that_of_another(box: Sandbox) -> None:
    accounts = {box.settings_for(api).account for api in APIS} | {box.settings.account}
    assert len(accounts) >= len(APIS)
    assert all(credentials.where(box.settings_for(api)) == "session" for api in APIS)
