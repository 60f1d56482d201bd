"""Microsoft Graph above 4 MB: a draft, its attachments in pieces, one request that sends, and doubt about that one."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from docmail.documents import Document
from docmail.errors import ConnectError, Deferred, DocmailError, Kind, MessageError, OutcomeUnknown, Refused
from docmail.message import Message
from docmail.sandbox import SANDBOX_PASSWORD, http_server
from docmail.sandbox.graph_drafts import Drafts
from docmail.secret import Secret
from docmail.settings import HttpServer, Settings
from docmail.transport.base import Access, Waits
from docmail.transport.http.transport import HttpTransport
from tests.transport.http.test_transport import Request, Server, reply, with_files, zeros

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from docmail import Sandbox
    from docmail.message import Mail
    from docmail.transport import SendResult

HUGE = b"%PDF-1.7\n" + bytes(range(256)) * 36_000 + b"\n%%EOF\n"  # 9.2 MB: three pieces
LARGE = b"%PDF-1.7\n" + bytes(range(256)) * 16_000 + b"\n%%EOF\n"  # two pieces
SMALL = b"%PDF-1.7\n" + bytes(range(256)) * 400 + b"\n%%EOF\n"
MIDDLE = b"%PDF-1.7\n" + bytes(2_900_000) + b"\n%%EOF\n"


def transport_to(settings: Settings, **changes: Any) -> HttpTransport:
    return HttpTransport(
        Access(settings, Secret(SANDBOX_PASSWORD), **{"timeout": 10, "waits": Waits(reply=10), **changes})
    )


def mail_for(settings: Settings, *contents: bytes, **parts: Any) -> Mail:
    documents = [Document.of(content, name=f"{number}.pdf") for number, content in enumerate(contents, 1)]
    values: dict[str, Any] = {"to": "cfo@example.com", "subject": "Q3", "body": "**Attached.**", "documents": documents}
    return Message(**{**values, **parts}).render(settings)


def send(box: Sandbox, *contents: bytes, **parts: Any) -> SendResult:
    settings = box.settings_for("graph")
    with transport_to(settings) as transport:
        return transport.send(mail_for(settings, *contents, **parts))


def failure(box: Sandbox, *contents: bytes) -> DocmailError:
    with pytest.raises(DocmailError) as caught:
        send(box, *contents or (LARGE,))
    assert caught.value.hint.endswith(".")
    return caught.value


# --- what arrives -----------------------------------------------------------------------------------------------------


def test_a_large_mail_arrives_as_a_small_one_would_with_files_in_their_order(service: Sandbox, drafts: Drafts) -> None:
    settings = replace(service.settings_for("graph"), reply_to=("office@example.com",), copy_to="archive@example.com")
    mail = mail_for(settings, SMALL, HUGE, MIDDLE, cc="b@example.com", bcc="blind@example.com")
    with transport_to(settings) as transport:
        result = transport.send(mail)
    assert result.accepted == ("cfo@example.com", "b@example.com", "blind@example.com", "archive@example.com")
    assert result.reply is not None
    assert result.reply.code == 202
    [received] = service.inbox
    assert received.recipients == result.accepted
    assert received["Message-ID"] == mail.message_id
    assert received["Reply-To"] == "office@example.com"
    assert b"blind@" not in received.raw
    assert b"archive@" not in received.raw
    assert "<strong>Attached.</strong>" in received.html
    assert [each.content for each in received.attachments] == [SMALL, HUGE, MIDDLE]
    assert [each.name for each in received.attachments] == ["1.pdf", "2.pdf", "3.pdf"]
    assert not drafts


def test_a_mail_that_fits_goes_out_in_one_request(service: Sandbox) -> None:
    service.answer("draft", "403 ErrorAccessDenied: Access is denied.")
    send(service, SMALL)
    assert len(service.inbox) == 1


def test_an_application_of_its_own_makes_the_draft_in_the_mailbox_that_it_names(service: Sandbox) -> None:
    settings = service.settings_for("graph")
    assert isinstance(settings.server, HttpServer)
    url = f"{settings.server.full_url.partition('/v1.0')[0]}/v1.0/users/me@example.com/sendMail"
    settings = replace(settings, server=replace(settings.server, url=url))
    with transport_to(settings) as transport:
        transport.send(mail_for(settings, LARGE))
    assert len(service.inbox) == 1


def test_progress_goes_up_to_all_bytes_and_never_back(service: Sandbox) -> None:
    settings = service.settings_for("graph")
    seen: list[tuple[int, int]] = []
    with transport_to(settings) as transport:
        transport.send(mail_for(settings, SMALL, LARGE), lambda sent, whole: seen.append((sent, whole)))
    assert [sent for sent, _whole in seen] == sorted(sent for sent, _whole in seen)
    assert {whole for _sent, whole in seen} == {seen[-1][0]}
    assert len({sent for sent, _whole in seen}) > 50


# --- what is certain, and what is not ---------------------------------------------------------------------------------


def test_a_tenant_that_forbids_drafts_is_said_before_anything_is_sent_and_small_mails_still_go(
    service: Sandbox,
) -> None:
    service.answer("draft", "403 ErrorAccessDenied: Access is denied. Check credentials and try again.")
    error = failure(service)
    assert isinstance(error, Refused)
    assert error.kind is Kind.MESSAGE  # only this mail: the next one may be small
    assert "Mail.ReadWrite" in str(error)
    assert "nothing was sent" in str(error)
    assert "Access is denied" in str(error)
    assert (error.guide, error.field) == ("Microsoft Graph", "sign_in")
    assert not service.inbox
    send(service, SMALL)


@pytest.mark.parametrize("step", ["draft", "upload"])
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("429 ApplicationThrottled: Slow down.", (Deferred, Kind.TEMPORARY)),
        ("500 ErrorInternalServerError: Sorry.", (Deferred, Kind.TEMPORARY)),
        ("504 UnknownError: Gateway.", (Deferred, Kind.TEMPORARY)),
        ("413 ErrorMessageSizeExceeded: Too large.", (Refused, Kind.MESSAGE)),
        ("403 ErrorAccessDenied: Access is denied.", (Refused, Kind.MESSAGE)),
    ],
)
def test_before_the_request_to_send_every_refusal_is_certain_and_leaves_no_draft(
    service: Sandbox, drafts: Drafts, step: Any, words: str, expected: tuple[type[DocmailError], Kind]
) -> None:
    error, kind = expected
    service.answer(step, words)
    found = failure(service)
    assert isinstance(found, error)
    assert found.kind is kind  # type: ignore[attr-defined]  # both are a SendError
    assert "may have arrived" not in str(found)
    assert "left in the Drafts folder" not in str(found)
    assert not drafts
    assert not service.inbox


def test_a_connection_that_breaks_while_files_are_attached_leaves_nothing_sent_and_no_draft(
    service: Sandbox, drafts: Drafts
) -> None:
    service.drop("upload")
    error = failure(service)
    assert isinstance(error, ConnectError)
    assert "nothing was sent" in str(error)
    assert not drafts


def test_a_draft_whose_making_was_not_confirmed_is_named_with_its_place(service: Sandbox) -> None:
    service.drop("draft")
    error = failure(service)
    assert isinstance(error, ConnectError)
    mailbox = service.settings_for("graph").account.username
    assert f"A draft of it may be left in the Drafts folder of {mailbox}" in str(error)


def test_a_session_that_is_over_is_no_matter_of_the_sign_in(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    kept = Drafts(50_000_000, session_seconds=0)
    monkeypatch.setattr(http_server, "Drafts", lambda _limit: kept)
    error = failure(request.getfixturevalue("box"))
    assert isinstance(error, Deferred)
    assert error.kind is Kind.TEMPORARY
    assert "ended the upload of 1.pdf" in str(error)
    assert not kept


def test_a_refusal_to_send_is_certain_and_the_draft_is_deleted(service: Sandbox, drafts: Drafts) -> None:
    service.answer("http", "400 ErrorInvalidRecipients: No.")
    error = failure(service)
    assert isinstance(error, Refused)
    assert error.kind is Kind.RECIPIENT
    assert not drafts


@pytest.mark.parametrize("taken", [1, 0])
def test_a_connection_lost_after_the_request_to_send_is_unknown_and_the_draft_stays(
    service: Sandbox, drafts: Drafts, taken: int
) -> None:
    service.drop("http", keep=bool(taken))
    settings = service.settings_for("graph")
    with transport_to(settings) as transport, pytest.raises(OutcomeUnknown) as caught:
        transport.send(mail_for(settings, LARGE))
    assert transport.in_doubt
    assert "Drafts" in caught.value.hint
    assert len(drafts) == 1
    assert len(service.inbox) == taken


def test_stop_between_two_pieces_sends_nothing_and_leaves_no_draft(service: Sandbox, drafts: Drafts) -> None:
    settings = service.settings_for("graph")
    with transport_to(settings) as transport, pytest.raises(ConnectError, match="Stopped"):
        transport.send(mail_for(settings, LARGE), lambda sent, _whole: transport.abort() if sent > 1_000_000 else None)
    assert not drafts
    assert not service.inbox
    assert not transport.in_doubt


def test_an_interrupt_while_files_are_attached_leaves_no_draft(service: Sandbox, drafts: Drafts) -> None:
    def interrupt(sent: int, _whole: int) -> None:
        if sent > 1_000_000:
            raise KeyboardInterrupt

    settings = service.settings_for("graph")
    with transport_to(settings) as transport, pytest.raises(KeyboardInterrupt):
        transport.send(mail_for(settings, LARGE), interrupt)
    assert not transport.in_doubt
    assert not drafts


def test_a_document_that_changed_while_it_was_sent_makes_no_mail(service: Sandbox, drafts: Drafts) -> None:
    settings = service.settings_for("graph")
    mail = mail_for(settings, LARGE)
    [attachment] = mail.attachments
    mail = replace(mail, attachments=(replace(attachment, size=attachment.size + 1),))
    with transport_to(settings) as transport, pytest.raises(MessageError):
        transport.send(mail)
    assert not drafts
    assert not service.inbox


def test_a_mail_above_the_limit_of_uploads_is_refused_before_anything_is_sent() -> None:
    settings = settings_for(1)
    mail = with_files(mail_for(settings), zeros(157_000_000))
    with pytest.raises(Refused, match="at most 157"):
        transport_to(settings).send(mail)


def test_a_text_that_is_too_large_for_one_request_is_refused_before_anything_is_sent() -> None:
    settings = settings_for(1)
    mail = mail_for(settings)
    with pytest.raises(Refused, match=r"at most 4\.2"):
        HttpTransport(Access(settings)).send(with_files(replace(mail, head=mail.head + b"x" * 3_200_000), zeros(9)))


# --- a service that answers anything ----------------------------------------------------------------------------------


def settings_for(port: int) -> Settings:
    server = HttpServer(f"http://127.0.0.1:{port}", "graph", "me@example.com")
    return Settings("Accounts <accounts@example.com>", server)


def playing(
    *, draft: str = '{"id": "AAMk="}', session: str | None = None, piece: bytes = b"", delete: str = "204 No Content"
) -> Callable[[Server, socket.socket], None]:
    """Return a service that responds this; by default everything is right."""

    def behave(server: Server, sock: socket.socket) -> None:
        line = server.read(sock).line
        url = f'{{"uploadUrl": "http://127.0.0.1:{server.port}/up?authtoken=secret-of-the-session"}}'
        if line.startswith("DELETE"):
            content = reply(delete)
        elif line.startswith("PUT"):
            content = piece or reply("200 OK", "{}")
        elif line.startswith("PATCH"):
            content = reply("200 OK", "{}")
        elif "createUploadSession" in line:
            content = reply("201 Created", url if session is None else session)
        elif "/send" in line:
            content = reply("202 Accepted")
        else:
            content = reply("201 Created", draft)
        server.send(sock, content)

    return behave


def send_to(
    behave: Callable[[Server, socket.socket], None], content: bytes = LARGE
) -> tuple[list[Request], DocmailError | None]:
    with Server(behave) as server:
        settings = settings_for(server.port)
        with transport_to(settings) as transport:
            try:
                transport.send(mail_for(settings, content))
            except DocmailError as exc:
                return server.requests, exc
    return server.requests, None


def test_pieces_go_in_order_up_to_4_mb_each_and_without_the_token_of_the_account() -> None:
    requests, error = send_to(playing(), HUGE)
    assert error is None
    lines = [request.line.split()[:2] for request in requests]
    assert lines == [
        ["POST", "/v1.0/me/messages"],
        ["PATCH", "/v1.0/me/messages/AAMk="],
        ["POST", "/v1.0/me/messages/AAMk=/attachments/createUploadSession"],
        *[["PUT", "/up?authtoken=secret-of-the-session"]] * 3,
        ["POST", "/v1.0/me/messages/AAMk=/send"],
    ]
    pieces = [request for request in requests if request.line.startswith("PUT")]
    assert [each.header("Authorization") for each in pieces] == [None] * 3
    assert [each.header("Content-Range") for each in pieces] == [
        f"bytes 0-3932159/{len(HUGE)}",
        f"bytes 3932160-7864319/{len(HUGE)}",
        f"bytes 7864320-{len(HUGE) - 1}/{len(HUGE)}",
    ]
    assert b"".join(each.body for each in pieces) == HUGE
    assert json.loads(requests[2].body) == {
        "AttachmentItem": {
            "attachmentType": "file",
            "name": "1.pdf",
            "contentType": "application/pdf",
            "size": len(HUGE),
        }
    }
    assert requests[-1].header("Content-Length") == "0"


@pytest.mark.parametrize(
    "draft",
    [
        "",
        "{}",
        "[]",
        "null",
        '{"id": 5}',
        '{"id": ""}',
        '{"id": "a b"}',
        '{"id": "\\ud800"}',
        "[" * 100_000,
        "\ufeff{}",
    ],
)
def test_a_reply_without_a_draft_is_a_sentence_and_nothing_is_sent(draft: str) -> None:
    requests, error = send_to(playing(draft=draft))
    assert "nothing was sent" in str(error)
    assert "may be left in the Drafts folder of me@example.com" in str(error)
    assert len(requests) == 1


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("null", "did not answer as it should"),
        ("5", "did not answer as it should"),
        ('"file:///etc/passwd"', "did not answer as it should"),
        ('"https://[::1"', "did not answer as it should"),
        ('"https://a:99999999/"', "did not answer as it should"),
        ('"http://127.0.0.1:1/up"', "did not answer as it should"),
        ('"http://outlook.office.com/up"', "asks for the document at outlook.office.com"),
        ('"https://evil.example/up?x=outlook.office.com"', "asks for the document at evil.example"),
        ('"https://notoffice.com/up"', "asks for the document at notoffice.com"),
    ],
)
def test_a_document_goes_to_no_address_but_the_services_own(url: str, words: str) -> None:
    requests, error = send_to(playing(session=f'{{"uploadUrl": {url}}}'))
    assert words in str(error)
    assert not [request for request in requests if request.line.startswith("PUT") or "/send" in request.line]
    assert requests[-1].line.startswith("DELETE")


def test_a_draft_that_could_not_be_deleted_is_named_with_its_place() -> None:
    _requests, error = send_to(playing(session="{}", delete="500 Sorry"))
    assert "may be left in the Drafts folder of me@example.com" in str(error)


def test_the_secret_in_the_address_for_the_pieces_shows_nowhere() -> None:
    words = "The address /up?authtoken=secret-of-the-session is wrong."
    _requests, error = send_to(playing(piece=reply("400 Bad Request", words)))
    assert error is not None
    assert "is wrong" in str(error)
    assert "secret-of-the-session" not in f"{error}{vars(error)}"


def test_blind_recipients_that_a_draft_does_not_take_are_not_left_out_silently() -> None:
    with Server(playing()) as server:
        settings = settings_for(server.port)
        with transport_to(settings) as transport, pytest.raises(Refused, match="does not accept Bcc recipients"):
            transport.send(mail_for(settings, LARGE, bcc="blind@example.com"))
    assert not [request for request in server.requests if re.search("/send|PUT", request.line)]


def test_a_redirect_of_a_piece_is_not_followed() -> None:
    moved = reply("307 Moved", "", "Location: https://elsewhere.example/")
    requests, error = send_to(playing(piece=moved))
    assert error is not None
    assert len([request for request in requests if request.line.startswith("PUT")]) == 1


def test_stop_from_another_thread_ends_a_piece_that_waits() -> None:
    waiting = threading.Event()

    def behave(server: Server, sock: socket.socket) -> None:
        if server.connections == 4:
            server.read(sock)
            waiting.set()
            server.stop.wait(10)
        else:
            playing()(server, sock)

    with Server(behave) as server:
        settings = settings_for(server.port)
        transport = transport_to(settings)

        def stop() -> None:
            waiting.wait(10)
            transport.abort()

        threading.Thread(target=stop).start()
        with transport, pytest.raises(ConnectError, match="Stopped"):
            transport.send(mail_for(settings, LARGE))
