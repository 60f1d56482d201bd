"""Reads what a mail service answers: its words out of its JSON, what a refusal means, who was left out of a success.

The table is that of `docmail.replies.known` for HTTP: the first match counts. Sources: the services' own pages, checked
2026-11-23; sentences of theirs are matched as loosely as tells them apart, because they change.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from docmail.errors import Kind
from docmail.language import _
from docmail.replies.http_status import cause as cause_of_status
from docmail.replies.http_status import look_first
from docmail.replies.meaning import Cause

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.presets import Service
    from docmail.reply import Reply


@dataclass(frozen=True)
class Answer:
    """A refusal that is known, and what it means; the expression is for "403 code: message" as one line."""

    apis: str
    words: str
    kind: Kind
    say: Callable[[], tuple[str, str]]
    field: str | None = None
    guide: str = ""
    """The heading of a guide; empty for that of the service."""


def _key() -> tuple[str, str]:
    return (
        _("{service} does not accept this key."),
        _("Make a new key at {service} and paste it into the form, without blanks."),
    )


def _token() -> tuple[str, str]:
    return _("{service} does not accept this sign-in, or it has run out."), _("Sign in again.")


def _sender() -> tuple[str, str]:
    return (
        _("{service} does not let this account send from this address."),
        _("Verify the address or its domain at {service}, or send from one that is verified."),
    )


def _recipient() -> tuple[str, str]:
    return _("{service} refuses a recipient of this mail."), _("Check the recipient's address.")


def _quota() -> tuple[str, str]:
    return (
        _("Your account at {service} may not send more for now: its quota is used up."),
        _("Wait until the quota begins anew, or choose a larger plan at {service}."),
    )


def _slower() -> tuple[str, str]:
    return _("{service} wants mail more slowly."), _("Try again in a minute.")


def _busy() -> tuple[str, str]:
    return _("{service} does not take mail at the moment."), _("Try again in a few minutes.")


def _large() -> tuple[str, str]:
    return _("{service} finds this message too large."), _("Send a smaller document.")


ANSWERS: tuple[Answer, ...] = (
    # --- any of them: what ends with the day or the month is no matter of minutes, whatever the code before it says ---
    Answer(
        "",
        r"^429 .*(\b(daily|monthly) .*(limit|quota)|(limit|quota|allow).*\b(per (day|month)|24[ -]?h(ou)?rs?\b))",
        Kind.LIMIT,
        _quota,
    ),
    # --- Microsoft Graph ---
    Answer("graph", r"429 .*ErrorExceededMessageLimit|ErrorMessageQuotaExceeded", Kind.LIMIT, _quota),
    Answer("graph", r"ErrorSendAsDenied|ErrorSubmissionQuotaExceeded.*send as", Kind.CONFIG, _sender, "email_address"),
    Answer("graph", r"ErrorSubmissionQuotaExceeded", Kind.LIMIT, _quota),
    Answer(
        "graph",
        r"403 .*(ErrorAccessDenied|Authorization_RequestDenied|AccessDenied)",
        Kind.AUTH,
        lambda: (
            _("This sign-in at Microsoft does not include sending mail (Mail.Send)."),
            _("Add the permission Mail.Send to the application, let an administrator agree, and sign in again."),
        ),
        "password",
    ),
    Answer(
        "graph",
        r"404 .*(ErrorInvalidUser|MailboxNotEnabledForRESTAPI|MailboxNotHostedOnline|Request_ResourceNotFound)",
        Kind.CONFIG,
        lambda: (
            _("Microsoft has no mailbox in the cloud for this account."),
            _("Check Username: the address of a mailbox with a licence for Exchange Online."),
        ),
        "username",
    ),
    Answer("graph", r"ErrorInvalidRecipients|ErrorInvalidSmtpAddress", Kind.RECIPIENT, _recipient),
    Answer("graph", r"413 |ErrorMessageSizeExceeded", Kind.MESSAGE, _large),
    # --- Gmail ---
    Answer(
        "gmail",
        r"403 .*(insufficientPermissions|ACCESS_TOKEN_SCOPE_INSUFFICIENT|insufficient authentication scopes)",
        Kind.AUTH,
        lambda: (
            _("This sign-in at Google does not include sending mail (gmail.send)."),
            _("Sign in again, and leave the box for sending email ticked when Google asks."),
        ),
        "password",
    ),
    Answer(
        "gmail",
        r"403 .*(accessNotConfigured|SERVICE_DISABLED|has not been used in project)",
        Kind.CONFIG,
        lambda: (
            _("The Gmail API is switched off in the Google project to which this sign-in belongs."),
            _("Switch on the Gmail API in the project's library of APIs, wait a few minutes, and try again."),
        ),
    ),
    Answer(
        "gmail",
        r"403 .*domainPolicy",
        Kind.AUTH,
        lambda: (
            _("Your organisation does not let applications send through Gmail."),
            _("Ask your administrator to allow this application in the Google Admin console."),
        ),
        "password",
    ),
    Answer("gmail", r"(403|429) .*(dailyLimitExceeded|quotaExceeded|sending limit)", Kind.LIMIT, _quota),
    Answer("gmail", r"(403|429) .*(rateLimitExceeded|RESOURCE_EXHAUSTED)", Kind.TEMPORARY, _slower),
    Answer(
        "gmail",
        r"400 .*(failedPrecondition|FAILED_PRECONDITION)",
        Kind.CONFIG,
        lambda: (_("This Google account has no mailbox at Gmail."), _("Check Username: the address of the mailbox.")),
        "username",
    ),
    Answer("gmail", r"400 .*(Invalid (To|Cc|Bcc) header|Recipient address required)", Kind.RECIPIENT, _recipient),
    Answer("graph gmail", r"401 ", Kind.AUTH, _token, "password"),
    # --- Mailgun ---
    Answer(
        "mailgun",
        r"404 .*(domain not found|not found)",
        Kind.CONFIG,
        lambda: (
            _("Mailgun does not know the domain that stands in the address."),
            _("Check the domain; for one in Mailgun's European region the address begins with api.eu.mailgun.net."),
        ),
        "url",
    ),
    Answer("mailgun", r"403 .*(sandbox|authorized recipients)|400 .*authorized recipients", Kind.RECIPIENT, _recipient),
    Answer("mailgun", r"402 |4(03|29) .*(daily|hourly|monthly|exceeded|plan)", Kind.LIMIT, _quota),
    Answer("mailgun", r"400 .*('?to'? parameter|not a valid address)", Kind.RECIPIENT, _recipient),
    # --- Postmark: its own codes stand before its words ---
    Answer("postmark", r"^\d+ (10|12):|401 ", Kind.AUTH, _key, "password"),
    Answer("postmark", r"^\d+ (400|401|402|403):", Kind.CONFIG, _sender, "email_address"),
    Answer("postmark", r"^\d+ 405:", Kind.LIMIT, _quota),
    Answer(
        "postmark",
        r"^\d+ 406:",
        Kind.RECIPIENT,
        lambda: (
            _("Postmark sends nothing to these recipients, because mail to them came back or was unwanted."),
            _("Ask the recipient; then reactivate the address at Postmark under Suppressions."),
        ),
    ),
    Answer(
        "postmark",
        r"^\d+ 412:",
        Kind.RECIPIENT,
        lambda: (
            _("Until Postmark has approved your account, it sends only to addresses of your own domain."),
            _("Send to such an address, and ask Postmark for approval."),
        ),
    ),
    Answer("postmark", r"^\d+ 300:.*(recipient|'To'|'Cc'|'Bcc'|illegal email address)", Kind.RECIPIENT, _recipient),
    # --- Resend ---
    Answer("resend", r"(missing|invalid|restricted|suspended)_api_key", Kind.AUTH, _key, "password"),
    Answer("resend", r"(daily|monthly)_quota_exceeded", Kind.LIMIT, _quota),
    Answer("resend", r"rate_limit_exceeded|concurrent_idempotent_requests", Kind.TEMPORARY, _slower),
    Answer(
        "resend",
        r"invalid_idempotent_request",
        Kind.UNKNOWN,
        lambda: (_("Resend has taken a mail with this Message-ID before; the mail may have arrived."), look_first()),
    ),
    Answer(
        "resend",
        r"domain is not verified|invalid_from_address|invalid `?from`?|only send testing emails",
        Kind.CONFIG,
        _sender,
        "email_address",
    ),
    Answer("resend", r"(422|400) .*invalid `?(to|cc|bcc)`?", Kind.RECIPIENT, _recipient),
    # --- Brevo ---
    Answer(
        "brevo",
        r"unrecogni[sz]ed IP",
        Kind.AUTH,
        lambda: (
            _("Brevo does not take this key from the network in which you are."),
            _("Add this network's address at Brevo under Security, Authorised IPs, or switch that check off."),
        ),
        "password",
    ),
    Answer("brevo", r"not_enough_credits|402 ", Kind.LIMIT, _quota),
    Answer("brevo", r"too_many_requests|429 ", Kind.TEMPORARY, _slower),
    Answer("brevo", r"invalid_parameter.*sender|missing_parameter.*sender", Kind.CONFIG, _sender, "email_address"),
    Answer(
        "brevo",
        r"40[013] .*(account_under_validation|permission_denied|not yet activated)",
        Kind.CONFIG,
        lambda: (
            _("Brevo has not yet opened your account for sending by API."),
            _("Ask Brevo's support to activate transactional email for your account."),
        ),
    ),
    Answer("brevo", r"invalid_parameter.*(email|recipient|\bto\b|\bcc\b|\bbcc\b)", Kind.RECIPIENT, _recipient),
    # --- SendGrid ---
    Answer("sendgrid", r"maximum credits exceeded", Kind.LIMIT, _quota),
    Answer("sendgrid", r"verified sender identity", Kind.CONFIG, _sender, "email_address"),
    Answer("sendgrid", r"400 .*(personalizations|does not contain a valid address)", Kind.RECIPIENT, _recipient),
    # --- any of them ---
    Answer("mailgun resend brevo sendgrid", r"40[13] ", Kind.AUTH, _key, "password"),
    Answer("", r"413 ", Kind.MESSAGE, _large),
    Answer("", r"(429|503) ", Kind.TEMPORARY, _busy),
    Answer(
        "",
        r"500 ",
        Kind.UNKNOWN,
        lambda: (_("The mail may have arrived: {service} failed while it took it."), look_first()),
    ),
)


def meaning_of_response(reply: Reply, service: Service | None, *, whole: bool, signed_in: bool) -> Cause:
    """Say what a refusal means; `whole` says whether the server had the whole question."""
    if service is not None and reply.code >= 400:  # noqa: PLR2004 - a redirect, or half a success, is the same anywhere
        line = str(reply)
        for known in ANSWERS:
            if service.api in (known.apis or service.api).split() and re.search(known.words, line, re.IGNORECASE):
                message, hint = (text.replace("{service}", service.name) for text in known.say())
                return Cause(known.kind, message, hint, known.field, known.guide or service.guide)
    elif service is not None and reply.code < 300 and whole:  # noqa: PLR2004 - Postmark says so with a code of its own
        return meaning_of_response(type(reply)(422, "", reply.text), service, whole=whole, signed_in=signed_in)
    return cause_of_status(reply.code, whole=whole, signed_in=signed_in)


def said(words: str) -> str:
    """Return a service's words as a person reads them: "code: message", wherever they stand in its JSON."""
    content = _json(words)
    if not isinstance(content, dict):
        return words
    inner = content.get("error")
    if isinstance(inner, dict):
        return _code_and_message(inner)
    if isinstance(content.get("errors"), list) and content["errors"] and isinstance(content["errors"][0], dict):
        first = content["errors"][0]
        return _code_and_message({"code": first.get("field"), "message": first.get("message")})
    return _code_and_message(content) or words


def _code_and_message(content: dict[str, Any]) -> str:
    details = content.get("errors")
    reason = (
        details[0].get("reason") if isinstance(details, list) and details and isinstance(details[0], dict) else None
    )
    named = (content.get(name) for name in ("ErrorCode", "status", "name", "code"))
    code = reason or next((each for each in named if each and (isinstance(each, str) or "ErrorCode" in content)), None)
    message = content.get("Message") or content.get("message") or ""
    if not message and (identity := content.get("MessageID") or content.get("messageId") or content.get("id")):
        return f"id {identity}"
    return f"{code}: {message}" if code and message else str(message or code or "")


def refusal_in_success(words: str) -> bool:
    """Say whether a service refuses in the words of a reply whose status says success (Postmark can)."""
    content = _json(words)
    return isinstance(content, dict) and bool(content.get("ErrorCode"))


def left_out(words: str, recipients: tuple[str, ...]) -> list[str]:
    """Return the recipients whom a service says it leaves out of a mail that it takes (Postmark's inactive ones)."""
    content = _json(words)
    text = content.get("Message") if isinstance(content, dict) else None
    if not isinstance(text, str) or "will not deliver" not in text:
        return []
    named = set(re.findall(r"[^\s,;<>]+@[^\s,;<>]+", text.lower()))
    return [address for address in recipients if address.lower() in {name.rstrip(".") for name in named}]


def _json(words: str) -> Any:
    try:
        return json.loads(words)
    except (ValueError, RecursionError):
        return None
