"""Mail services: what each is asked, byte by byte on a socket, what its refusals mean, and what it cannot do."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from docmail import presets
from docmail.documents import Document
from docmail.errors import Deferred, Kind, MessageError, OutcomeUnknown, Refused, SendError
from docmail.message import Message
from docmail.presets import services
from docmail.replies import meaning_of_response, said, table
from docmail.reply import Reply
from docmail.secret import Secret
from docmail.settings import HttpServer, Settings
from docmail.transport.base import Access, Waits
from docmail.transport.http.transport import HttpTransport
from tests.transport.http.test_transport import Request, Server, answering, reply

if TYPE_CHECKING:
    from docmail.message import Mail
    from docmail.transport import SendResult

KEY = "key-that-nobody-sees"
PDF = b"%PDF-1.7\n" + bytes(range(256)) * 9 + b"\n%%EOF\n"
APIS = [service.api for service in services.SERVICES]


def settings_for(api: str, port: int = 1) -> Settings:
    service = services.by_api(api)
    username = "me@example.com" if service is None or service.has_mailbox else ""
    path = "/v3/mg.example.com" if api == "mailgun" else ""
    server = HttpServer(f"http://127.0.0.1:{port}{path}", api=api, username=username)
    return Settings("Accounts <accounts@example.com>", server, "archive@example.com", ("office@example.com",))


def mail_for(settings: Settings, **parts: Any) -> Mail:
    values: dict[str, Any] = {
        "to": '"Smith, J" <cfo@example.com>',
        "cc": "b@example.com",
        "subject": "Q3",
        "body": "**Attached.**",
        "documents": Document.of(PDF, name="Q3.pdf"),
    }
    return Message(**{**values, **parts}).render(settings)


def post(server: Server, api: str, mail: Mail | None = None) -> SendResult:
    settings = settings_for(api, server.port)
    with HttpTransport(Access(settings, Secret(KEY), timeout=5, waits=Waits(reply=5))) as transport:
        return transport.send(mail or mail_for(settings))


def asked(api: str, mail: Mail | None = None) -> Request:
    """Return the one request that a mail becomes."""
    with Server(answering(reply("200 OK", "{}"))) as server:
        post(server, api, mail)
        [request] = server.requests
    return request


# --- what is asked ----------------------------------------------------------------------------------------------------

LINES = {
    "graph": ("/v1.0/me/sendMail", "text/plain", ("Authorization", f"Bearer {KEY}")),
    "gmail": ("/gmail/v1/users/me/messages/send", "application/json", ("Authorization", f"Bearer {KEY}")),
    "mailgun": ("/v3/mg.example.com/messages.mime", "multipart/form-data", None),
    "postmark": ("/email", "application/json", ("X-Postmark-Server-Token", KEY)),
    "resend": ("/emails", "application/json", ("Authorization", f"Bearer {KEY}")),
    "brevo": ("/v3/smtp/email", "application/json", ("api-key", KEY)),
    "sendgrid": ("/v3/mail/send", "application/json", ("Authorization", f"Bearer {KEY}")),
}


@pytest.mark.parametrize("api", APIS)
def test_each_service_is_asked_where_and_with_the_key_in_the_header_that_it_wants(api: str) -> None:
    path, media_type, header = LINES[api]
    request = asked(api)
    assert request.line == f"POST {path} HTTP/1.1"
    assert (request.header("Content-Type") or "").partition(";")[0] == media_type
    assert request.header("Content-Length") == str(len(request.body))
    name, value = header or ("Authorization", f"Basic {base64.b64encode(f'api:{KEY}'.encode()).decode()}")
    assert request.header(name) == value
    assert KEY not in request.line
    assert KEY.encode() not in request.body


@pytest.mark.parametrize("api", ["graph", "gmail"])
def test_services_that_read_the_recipients_in_the_mail_find_the_blind_ones_there(api: str) -> None:
    settings = settings_for(api)
    mail = mail_for(settings, bcc="blind@example.com")
    body = asked(api, mail).body
    raw = base64.b64decode(body) if api == "graph" else base64.urlsafe_b64decode(json.loads(body)["raw"])
    assert raw == b"Bcc: blind@example.com,\r\n archive@example.com\r\n" + b"".join(mail.wire())


@pytest.mark.parametrize("api", APIS)
def test_each_service_is_told_which_mail_is_answered_or_its_writer_that_it_is_not(api: str) -> None:
    mail = mail_for(settings_for(api), in_reply_to=["<1@example.com>", "<2@example.com>"])
    body = asked(api, mail).body
    if api in {"graph", "gmail"}:
        body = base64.b64decode(body) if api == "graph" else base64.urlsafe_b64decode(json.loads(body)["raw"])
    told = [each in body for each in (b"In-Reply-To", b"References", b"<1@example.com>", b"<2@example.com>")]
    said = "which mail this one answers" in mail.advice
    assert (told, said) == ([api != "brevo"] * 4, api == "brevo")


def test_mailgun_takes_the_mail_as_it_is_and_the_envelope_beside_it() -> None:
    mail = mail_for(settings_for("mailgun"), bcc="blind@example.com")
    parts = asked("mailgun", mail).parts
    assert [part.value for part in parts if part.name == "to"] == list(mail.recipients)
    [message] = [part for part in parts if part.name == "message"]
    assert message.raw == b"".join(mail.wire())


def test_postmark_gets_the_parts_under_its_names() -> None:
    mail = mail_for(settings_for("postmark"))
    content = json.loads(asked("postmark", mail).body)
    assert content.pop("HtmlBody").count("<strong>Attached.</strong>") == 1
    assert content == {
        "From": "Accounts <accounts@example.com>",
        "To": '"Smith, J" <cfo@example.com>',
        "Cc": "b@example.com",
        "Bcc": "archive@example.com",
        "ReplyTo": "office@example.com",
        "Subject": "Q3",
        "TextBody": "Attached.",
        "Headers": [{"Name": "Message-ID", "Value": mail.message_id}, {"Name": "X-PM-KeepID", "Value": "true"}],
        "Attachments": [
            {"Name": "Q3.pdf", "ContentType": "application/pdf", "Content": base64.b64encode(PDF).decode()}
        ],
    }


def test_resend_gets_the_parts_under_its_names_and_a_key_that_makes_a_repetition_harmless() -> None:
    mail = mail_for(settings_for("resend"))
    request = asked("resend", mail)
    content = json.loads(request.body)
    assert "<strong>" in content.pop("html")
    assert content == {
        "from": "Accounts <accounts@example.com>",
        "to": ['"Smith, J" <cfo@example.com>'],
        "cc": ["b@example.com"],
        "bcc": ["archive@example.com"],
        "reply_to": ["office@example.com"],
        "subject": "Q3",
        "text": "Attached.",
        "attachments": [
            {"filename": "Q3.pdf", "content_type": "application/pdf", "content": base64.b64encode(PDF).decode()}
        ],
    }
    assert request.header("Idempotency-Key") == mail.message_id.strip("<>")


def test_brevo_gets_the_parts_under_its_names() -> None:
    content = json.loads(asked("brevo").body)
    assert "<strong>" in content.pop("htmlContent")
    assert content == {
        "sender": {"email": "accounts@example.com", "name": "Accounts"},
        "to": [{"email": "cfo@example.com", "name": "Smith, J"}],
        "cc": [{"email": "b@example.com"}],
        "bcc": [{"email": "archive@example.com"}],
        "replyTo": {"email": "office@example.com"},
        "subject": "Q3",
        "textContent": "Attached.",
        "attachment": [{"name": "Q3.pdf", "content": base64.b64encode(PDF).decode()}],
    }


def test_sendgrid_gets_the_parts_under_its_names() -> None:
    content = json.loads(asked("sendgrid").body)
    [_plain, rich] = content.pop("content")
    assert "<strong>" in rich["value"]
    assert content == {
        "personalizations": [
            {
                "to": [{"email": "cfo@example.com", "name": "Smith, J"}],
                "cc": [{"email": "b@example.com"}],
                "bcc": [{"email": "archive@example.com"}],
            }
        ],
        "from": {"email": "accounts@example.com", "name": "Accounts"},
        "reply_to_list": [{"email": "office@example.com"}],
        "subject": "Q3",
        "attachments": [{"filename": "Q3.pdf", "type": "application/pdf", "content": base64.b64encode(PDF).decode()}],
    }


def test_a_large_mail_goes_to_gmails_address_for_uploads() -> None:
    content = b"%PDF-1.7\n" + bytes(4_000_000) + b"\n%%EOF\n"
    mail = mail_for(settings_for("gmail"), documents=Document.of(content, name="large.pdf"))
    request = asked("gmail", mail)
    assert request.line.split()[1] == "/upload/gmail/v1/users/me/messages/send?uploadType=media"
    assert request.header("Content-Type") == "message/rfc822"
    assert request.body.endswith(b"".join(mail.wire()))


def test_an_address_may_be_left_out_and_a_path_of_ones_own_stays() -> None:
    assert HttpServer("", api="postmark").full_url == "https://api.postmarkapp.com/email"
    assert HttpServer("relay.example.com/graph", api="graph").full_url == "https://relay.example.com/graph"
    assert HttpServer("api.eu.mailgun.net/v3/mg.example.com", api="mailgun").full_url.endswith(
        "/v3/mg.example.com/messages.mime"
    )


def test_a_picture_in_the_text_travels_where_the_service_can_carry_it() -> None:
    def with_picture(api: str) -> Mail:
        mail = mail_for(settings_for(api), documents=())
        head = mail.parsed()
        body = head.get_body(("html",))
        assert body is not None
        body.add_related(b"\x89PNG", "image", "png", cid="<chart>", filename="chart.png")
        return replace(mail, head=head.as_bytes())

    picture = base64.b64encode(b"\x89PNG").decode()
    assert json.loads(asked("postmark", with_picture("postmark")).body)["Attachments"] == [
        {"Name": "chart.png", "ContentType": "image/png", "ContentID": "cid:chart", "Content": picture}
    ]
    [resend] = json.loads(asked("resend", with_picture("resend")).body)["attachments"]
    assert resend["content_id"] == "chart"
    [sendgrid] = json.loads(asked("sendgrid", with_picture("sendgrid")).body)["attachments"]
    assert (sendgrid["content_id"], sendgrid["disposition"]) == ("chart", "inline")
    for api in ("brevo", "form"):
        with pytest.raises(MessageError, match="cannot send the pictures"):
            asked(api, with_picture(api))


# --- what it cannot do ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("api", "parts", "words"),
    [
        ("postmark", {"to": [f"a{number}@example.com" for number in range(50)]}, "at most 50 recipients"),
        ("brevo", {"reply_to": "a@example.com, b@example.com"}, "one address for replies"),
    ],
)
def test_what_a_service_cannot_do_is_said_before_anything_is_sent(api: str, parts: dict[str, Any], words: str) -> None:
    with Server(answering(reply("200 OK", "{}"))) as server, pytest.raises((Refused, MessageError), match=words):
        post(server, api, mail_for(settings_for(api), **parts))
    assert not server.requests


@pytest.mark.parametrize("api", ["graph", "gmail", "postmark"])
def test_a_mail_that_some_have_already_is_not_sent_to_them_again(api: str) -> None:
    mail = mail_for(settings_for(api))
    rest = replace(mail, recipients=("archive@example.com",))
    with Server(answering(reply("200 OK", "{}"))) as server, pytest.raises(Refused, match="have this mail already"):
        post(server, api, rest)
    assert not server.requests


def test_mailgun_sends_to_those_alone_who_are_left() -> None:
    rest = replace(mail_for(settings_for("mailgun")), recipients=("b@example.com",))
    assert [part.value for part in asked("mailgun", rest).parts if part.name == "to"] == ["b@example.com"]


# --- what it answers --------------------------------------------------------------------------------------------------

GRAPH = '{{"error":{{"code":"{0}","message":"Words of {0}.","innerError":{{"date":"2026-11-23"}}}}}}'
GMAIL = '{{"error":{{"code":{1},"message":"Words.","errors":[{{"message":"Words.","reason":"{0}"}}],"status":"X"}}}}'
POSTMARK = '{{"ErrorCode":{0},"Message":"{1}"}}'
RESEND = '{{"statusCode":{1},"name":"{0}","message":"{2}"}}'
BREVO = '{{"code":"{0}","message":"{1}"}}'
SENDGRID = '{{"errors":[{{"message":"{0}","field":{1},"help":null}}]}}'

RECORDED = [
    ("graph", 401, GRAPH.format("InvalidAuthenticationToken"), Kind.AUTH, "password"),
    ("graph", 403, GRAPH.format("ErrorAccessDenied"), Kind.AUTH, "password"),
    ("graph", 403, GRAPH.format("ErrorSendAsDenied"), Kind.CONFIG, "email_address"),
    ("graph", 404, GRAPH.format("ErrorInvalidUser"), Kind.CONFIG, "username"),
    ("graph", 404, GRAPH.format("MailboxNotEnabledForRESTAPI"), Kind.CONFIG, "username"),
    ("graph", 400, GRAPH.format("ErrorInvalidRecipients"), Kind.RECIPIENT, None),
    ("graph", 413, GRAPH.format("RequestEntityTooLarge"), Kind.MESSAGE, None),
    ("graph", 429, GRAPH.format("ApplicationThrottled"), Kind.TEMPORARY, None),
    ("graph", 429, GRAPH.format("ErrorExceededMessageLimit"), Kind.LIMIT, None),
    ("graph", 500, GRAPH.format("ErrorInternalServerError"), Kind.UNKNOWN, None),
    ("gmail", 401, GMAIL.format("authError", 401), Kind.AUTH, "password"),
    ("gmail", 403, GMAIL.format("insufficientPermissions", 403), Kind.AUTH, "password"),
    ("gmail", 403, GMAIL.format("accessNotConfigured", 403), Kind.CONFIG, None),
    ("gmail", 403, GMAIL.format("domainPolicy", 403), Kind.AUTH, "password"),
    ("gmail", 403, GMAIL.format("userRateLimitExceeded", 403), Kind.TEMPORARY, None),
    ("gmail", 429, GMAIL.format("dailyLimitExceeded", 429), Kind.LIMIT, None),
    ("gmail", 400, GMAIL.format("failedPrecondition", 400), Kind.CONFIG, "username"),
    ("gmail", 400, '{"error":{"code":400,"message":"Invalid To header"}}', Kind.RECIPIENT, None),
    ("mailgun", 401, "Forbidden", Kind.AUTH, "password"),
    ("mailgun", 404, '{"message":"Domain not found: mg.example.com"}', Kind.CONFIG, "url"),
    ("mailgun", 400, '{"message":"to parameter is not a valid address. please check it"}', Kind.RECIPIENT, None),
    ("mailgun", 403, '{"message":"Domain is not allowed to send: exceeded plan"}', Kind.LIMIT, None),
    ("mailgun", 403, '{"message":"Sandbox subdomains: add to authorized recipients"}', Kind.RECIPIENT, None),
    ("postmark", 401, POSTMARK.format(10, "No Account or Server API tokens were supplied."), Kind.AUTH, "password"),
    ("postmark", 422, POSTMARK.format(400, "Sender signature not found"), Kind.CONFIG, "email_address"),
    ("postmark", 422, POSTMARK.format(405, "Not allowed to send: ran out of credits"), Kind.LIMIT, None),
    ("postmark", 422, POSTMARK.format(406, "Inactive recipients"), Kind.RECIPIENT, None),
    ("postmark", 422, POSTMARK.format(412, "Account is pending approval"), Kind.RECIPIENT, None),
    ("postmark", 422, POSTMARK.format(300, "Illegal email address"), Kind.RECIPIENT, None),
    ("postmark", 422, POSTMARK.format(300, "Zero-length TextBody"), Kind.MESSAGE, None),
    ("postmark", 200, POSTMARK.format(406, "Inactive recipients"), Kind.RECIPIENT, None),
    ("resend", 403, RESEND.format("invalid_api_key", 403, "API key is invalid"), Kind.AUTH, "password"),
    ("resend", 401, RESEND.format("missing_api_key", 401, "Missing"), Kind.AUTH, "password"),
    ("resend", 403, RESEND.format("validation_error", 403, "domain is not verified"), Kind.CONFIG, "email_address"),
    ("resend", 422, RESEND.format("validation_error", 422, "Invalid `to` field."), Kind.RECIPIENT, None),
    ("resend", 429, RESEND.format("daily_quota_exceeded", 429, "Daily"), Kind.LIMIT, None),
    ("resend", 429, RESEND.format("rate_limit_exceeded", 429, "Too many"), Kind.TEMPORARY, None),
    ("resend", 409, RESEND.format("invalid_idempotent_request", 409, "Same key"), Kind.UNKNOWN, None),
    ("brevo", 401, BREVO.format("unauthorized", "Key not found"), Kind.AUTH, "password"),
    ("brevo", 401, BREVO.format("unauthorized", "unrecognised IP address 192.0.2.1"), Kind.AUTH, "password"),
    ("brevo", 402, BREVO.format("not_enough_credits", "No credits"), Kind.LIMIT, None),
    ("brevo", 429, BREVO.format("too_many_requests", "Slow down"), Kind.TEMPORARY, None),
    ("brevo", 429, BREVO.format("too_many_requests", "Daily limit of 300 emails reached"), Kind.LIMIT, None),
    ("sendgrid", 429, SENDGRID.format("You have exceeded your limit of 100 mails per day", "null"), Kind.LIMIT, None),
    ("brevo", 413, BREVO.format("bad_request", "Too large"), Kind.MESSAGE, None),
    ("brevo", 400, BREVO.format("invalid_parameter", "sender is not valid"), Kind.CONFIG, "email_address"),
    ("brevo", 400, BREVO.format("invalid_parameter", "email is not valid in to"), Kind.RECIPIENT, None),
    ("brevo", 403, BREVO.format("permission_denied", "not yet activated"), Kind.CONFIG, None),
    ("sendgrid", 401, SENDGRID.format("authorization required", "null"), Kind.AUTH, "password"),
    ("sendgrid", 401, SENDGRID.format("Maximum credits exceeded", "null"), Kind.LIMIT, None),
    ("sendgrid", 403, SENDGRID.format("not a verified Sender Identity", '"from"'), Kind.CONFIG, "email_address"),
    ("sendgrid", 400, SENDGRID.format("Does not contain a valid address.", '"x"'), Kind.RECIPIENT, None),
]


@pytest.mark.parametrize(("api", "status", "body", "kind", "field"), RECORDED)
def test_a_refusal_says_what_is_wrong_and_which_field_to_change(
    api: str, status: int, body: str, kind: Kind, field: str | None
) -> None:
    found = meaning_of_response(Reply(status, "", said(body)), services.by_api(api), whole=True, signed_in=True)
    assert (found.kind, found.field) == (kind, field)
    assert found.hint
    assert "{service}" not in found.message + found.hint
    assert found.guide


def test_every_known_refusal_is_met_by_a_recorded_one() -> None:
    met = set()
    for api, status, body, _kind, _field in RECORDED:
        line = str(Reply(422 if status == 200 else status, "", said(body)))
        met |= {*[known for known in table("http") if known.fits(line, api)][:1]}
    assert [known.pattern for known in table("http") if known not in met] == ["ErrorSubmissionQuotaExceeded"]


def test_the_guides_that_services_name_exist() -> None:
    assert all(presets.guide(service.guide) for service in services.SERVICES)


def test_recipients_whom_postmark_leaves_out_are_refused_and_the_others_reached() -> None:
    words = "Message OK, but will not deliver to these inactive addresses: B@example.com. Inactive ones bounced."
    with Server(answering(reply("200 OK", POSTMARK.format(0, words)))) as server:
        result = post(server, "postmark")
    assert result.accepted == ("cfo@example.com", "archive@example.com")
    assert list(result.refused) == ["b@example.com"]


def test_a_refusal_inside_a_success_is_a_refusal() -> None:
    with (
        Server(answering(reply("200 OK", POSTMARK.format(406, "Inactive")))) as server,
        pytest.raises(Refused) as caught,
    ):
        post(server, "postmark")
    assert caught.value.kind is Kind.RECIPIENT


def test_retry_after_is_handed_on() -> None:
    with Server(answering(reply("429 Too Many", GRAPH.format("ApplicationThrottled"), "Retry-After: 17"))) as server:
        with pytest.raises(Deferred) as caught:
            post(server, "graph")
        assert caught.value.retry_after == 17


def test_a_gateway_that_lost_the_service_leaves_a_doubt_and_nothing_is_repeated() -> None:
    with Server(answering(reply("504 Gateway Timeout", "{}"))) as server, pytest.raises(OutcomeUnknown):
        post(server, "resend")
    assert server.connections == 1


def test_a_key_that_the_service_repeats_is_hidden() -> None:
    words = RESEND.format("invalid_api_key", 403, f"API key {KEY} is invalid")
    with Server(answering(reply("403 Forbidden", words))) as server, pytest.raises(SendError) as caught:
        post(server, "resend")
    assert KEY not in str(caught.value)
    assert "•••" in str(caught.value)


def test_a_redirect_is_not_followed() -> None:
    with Server(answering(reply("307 Moved", "", "Location: https://elsewhere.example/"))) as server:
        with pytest.raises(Refused, match="elsewhere"):
            post(server, "postmark")
        assert server.connections == 1


# --- the settings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("api", APIS)
def test_a_service_needs_what_its_account_needs(api: str) -> None:
    service = services.by_api(api)
    assert service is not None
    fields = [problem.field for problem in Settings("A", HttpServer("", api=api)).problems()]
    expected = ["url"] if api == "mailgun" else []
    assert fields == [*expected, *(["username"] if service.has_mailbox else []), "email_address"]
    url = "api.mailgun.net/v3/mg.example.com" if api == "mailgun" else ""
    whole = Settings("A <a@example.com>", HttpServer(url, api=api, username="a@example.com"))
    assert whole.problems() == []
    assert whole.address.addr_spec == "a@example.com"


def test_a_key_never_goes_over_unencrypted_http_except_to_this_computer() -> None:
    settings = Settings("A <a@example.com>", HttpServer("http://api.example.com", api="postmark"))
    assert [problem.field for problem in settings.problems()] == ["url"]


# --- what is read back out of the mail --------------------------------------------------------------------------------


@pytest.mark.parametrize("api", ["postmark", "resend", "brevo", "sendgrid"])
def test_a_long_name_arrives_whole(api: str) -> None:
    """The standard library puts blanks where a name continues in the next encoded word."""
    name = "Société Générale d'Électricité de Genève et des communes de l'Île-de-France SA"
    settings = replace(settings_for(api), sender=f"{name} <accounts@example.com>")
    body = asked(api, mail_for(settings, to=f"{name} <cfo@example.com>", cc=f"{name} <b@example.com>")).body
    assert json.dumps(json.loads(body), ensure_ascii=False).count(name) == 3


@pytest.mark.parametrize("api", ["postmark", "resend", "brevo", "sendgrid"])
def test_a_mail_is_given_as_a_file_because_services_write_base64(api: str) -> None:
    """RFC 2046 5.2.1 allows no base64 for message/rfc822."""
    document = Document.of(b"Subject: x\r\n\r\ny", name="offer.eml")
    body = asked(api, mail_for(settings_for(api), documents=document)).body
    assert b"offer.eml" in body
    assert b"message/rfc822" not in body
