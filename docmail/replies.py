"""Reads a server's words: cleans and redacts them, and says what they mean.

A server's text is foreign: it can hold terminal escapes, HTML, or the password that was just sent. Everything that is
shown, logged or stored has been through `clean()`.
"""

from __future__ import annotations

import base64
import html
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, quote_plus

from docmail import presets
from docmail.errors import TREATMENT, Kind, SendError
from docmail.translation import _

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from docmail.credentials import Secret

_MAX_TEXT = 2000  # characters of a server's words that are kept
_MASK = "•••"
_SHORT = 4  # characters; what is shorter may be part of any word


@dataclass(frozen=True)
class Reply:
    """What a server answered: the code (SMTP or HTTP), the enhanced code (RFC 3463, may be empty) and its words."""

    code: int
    enhanced: str
    text: str

    @property
    def positive(self) -> bool:
        """Whether the server did what it was asked."""
        return 200 <= self.code < 300  # noqa: PLR2004

    def __str__(self) -> str:
        # A code below 100 is none of a server's: the text says why there is no reply.
        return " ".join(part for part in (str(self.code) if self.code > 99 else "", self.enhanced, self.text) if part)  # noqa: PLR2004


def clean(text: str, secret: Secret | None = None) -> str:
    """Return a server's words as one line without tags, control characters or the password, at most 2,000 long."""
    text = redact(text, secret)  # before a tag in it, or a letter that is changed below, can hide it
    text = re.sub(r"(?is)<(script|style)\b.*?(</\1\s*>|$)", " ", text)
    # A tag's name ends at a blank, a slash or the bracket: <cfo@example.com> and <https://...> are no tags.
    text = html.unescape(
        re.sub(r"(?s)<!(--.*?(-->|$)|[^<>]{0,200}>)|</?[a-zA-Z][a-zA-Z0-9]*(\s[^<>]{0,500}|/)?>", " ", text)
    )
    text = re.sub(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|[ -/]*.)", "", text)
    text = "".join(character if character.isprintable() else " " for character in text)
    text = re.sub(r"\s+", " ", redact(text, secret)).strip()
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"


def redact(text: str, secret: Secret | None) -> str:
    """Return the text with every form of the password that a server may echo replaced by `•••`."""
    if not secret:
        return text
    # A word in base64 that holds the password goes as a whole, with the username in it.
    text = re.sub(
        r"[\w+/-]{4,}={0,2}", lambda word: _MASK if _holds(word[0], secret) else word[0], text, flags=re.ASCII
    )
    for form in _echoes(secret):
        # A very short password is hidden only where it stands alone: the holes it tore into words would spell it.
        edges = (r"(?<!\w)", r"(?!\w)") if len(form) < _SHORT else ("", "")
        text = re.sub(re.escape(form).join(edges), _MASK, text)
    return text


def _holds(word: str, secret: Secret) -> bool:
    """Say whether a word is the base64 of the password, alone or in the response of AUTH PLAIN or HTTP Basic."""
    word = word.rstrip("=").replace("-", "+").replace("_", "/")
    decoded = base64.b64decode(word[: len(word) - (len(word) % 4 == 1)] + "==")
    raw = secret.octets()
    if decoded.endswith(b":" + raw) or (len(raw) >= _SHORT and raw in decoded):
        return True
    # Perhaps cut off: a beginning of the password counts after the NUL of AUTH PLAIN, or when it cannot be chance.
    _user, nul, beginning = decoded.rpartition(b"\0")
    return raw.startswith(beginning) and len(beginning) >= (1 if nul else 3)


def _echoes(secret: Secret) -> list[str]:
    plain, raw = secret.reveal(), secret.octets()
    forms = {
        plain,
        plain.replace(" ", ""),
        raw.decode("latin-1"),
        html.escape(plain),
        repr(plain)[1:-1],
        json.dumps(plain)[1:-1],
    }
    quoted = {quote(raw), quote(raw, safe=""), quote_plus(raw)}
    forms |= quoted | {re.sub(r"%..", lambda code: code[0].lower(), form) for form in quoted}
    if len(raw) >= _SHORT:
        # Base64 that is cut, wrapped or glued to something: the password starts at any of three offsets, and the
        # characters that depend on its neighbours are left out at both ends.
        for offset in range(3):
            encoded = base64.b64encode(b"\0" * offset + raw).decode()
            forms.add(encoded[-(-offset * 8 // 6) : (len(raw) + offset) * 8 // 6])
    return sorted(filter(None, forms), key=len, reverse=True)


class Cause(NamedTuple):
    """What a reply means: the kind of failure, a sentence, what to do, the field to change and the guide."""

    kind: Kind
    message: str
    hint: str
    field: str | None = None
    guide: str | None = None


class _Pattern(NamedTuple):
    reply: str  # a regular expression for the reply as one line: "535 5.7.8 Username ..."
    hosts: str  # a regular expression for the server's name
    kind: Kind
    say: Callable[[], tuple[str, str]]  # called when needed, in the language of that moment
    field: str | None
    guide: str | None


_GOOGLE, _MICROSOFT, _YAHOO = (
    r"\.(gmail|googlemail|google)\.com$",
    r"\.(office365|outlook|office)\.com$",
    r"\.(yahoo|aol)\.com$",
)

# The first match counts. Sources: the providers' own pages and recorded replies, checked 2026-11-23.
_PATTERNS: tuple[_Pattern, ...] = (
    _Pattern(
        r"534 5\.7\.9|InvalidSecondFactor",
        "",
        Kind.AUTH,
        lambda: (
            _("Gmail wants an app password here, not the password of your Google account."),
            _("Make an app password and paste it into Password."),
        ),
        "password",
        "Gmail",
    ),
    _Pattern(
        r"535 5\.7\.8 .*(Username and Password not accepted|BadCredentials)",
        _GOOGLE,
        Kind.AUTH,
        lambda: (
            _("Gmail does not accept this username and password."),
            _("Paste an app password into Password (changing your Google password cancels older ones)."),
        ),
        "password",
        "Gmail",
    ),
    _Pattern(
        r"534 5\.7\.14",
        "",
        Kind.AUTH,
        lambda: (
            _("Google wants you to sign in with a web browser first."),
            _("Sign in to this account in a browser, approve the attempt, and try again once."),
        ),
        "password",
        "Gmail",
    ),
    _Pattern(
        r"53[05] 5\.7\.\d+ .*(SmtpClientAuthentication is disabled|smtp_auth_disabled)",
        "",
        Kind.AUTH,
        lambda: (
            _("Your company's Microsoft 365 has switched off sign-in with a password for sending mail."),
            _("Ask your administrator to enable Authenticated SMTP for this mailbox."),
        ),
        "password",
        "Microsoft 365",
    ),
    _Pattern(
        r"535 5\.7\.139 .*basic authentication is disabled",
        r"^smtp-mail\.outlook\.com$",
        Kind.AUTH,
        lambda: (
            _("Outlook.com no longer lets anybody sign in with a password."),
            _("Send with another account: this sign-in needs OAuth 2.0."),
        ),
        "password",
        "Outlook.com",
    ),
    _Pattern(
        r"5\d\d 5\.7\.(139|30) .*(basic authentication is (disabled|not supported)|security defaults)",
        "",
        Kind.AUTH,
        lambda: (
            _("Microsoft no longer lets this account sign in with a password."),
            _("Ask your administrator, or use another account: this sign-in needs OAuth 2.0."),
        ),
        "password",
        "Microsoft 365",
    ),
    _Pattern(
        r"535 5\.7\.(3|139)\b",
        _MICROSOFT,
        Kind.AUTH,
        lambda: (
            _("Microsoft 365 does not accept this username and password."),
            _("Check both; if they are right, ask your administrator whether Authenticated SMTP is allowed for you."),
        ),
        "password",
        "Microsoft 365",
    ),
    _Pattern(
        r"535 .*does not have access rights to this service",
        r"\.yandex\.[a-z.]+$",
        Kind.AUTH,
        lambda: (
            _("This mailbox does not let mail programs in."),
            _("Allow mail programs in the settings of the mailbox, and make an app password."),
        ),
        "password",
        "Yandex Mail",
    ),
    _Pattern(
        r"535 .*(AUTH005|Too many bad auth attempts)",
        _YAHOO,
        Kind.AUTH,
        lambda: (
            _("Yahoo does not accept this password."),
            _("Make an app password and paste it into Password; waiting does not help."),
        ),
        "password",
        "Yahoo Mail",
    ),
    _Pattern(
        r"5\d\d 5\.2\.2\b|5\d\d .*mailbox .*(full|quota|limit)",
        "",
        Kind.RECIPIENT,
        lambda: (
            _("The recipient's mailbox is full."),
            _("Tell the recipient in another way, or send the document later."),
        ),
        None,
        "Sending",
    ),
    _Pattern(
        r"452 .*(4\.5\.3|too many recipients)",
        "",
        Kind.TEMPORARY,
        lambda: (
            _("The server takes no more recipients in one mail."),
            _("Send it to the others again, in another mail."),
        ),
        None,
        "Sending",
    ),
    _Pattern(
        r"550 5\.4\.5|550 5\.4\.6|550 5\.1\.90|55\d .*(quota|limit) exceeded|454 .*Throttling|QuotaExceeded",
        "",
        Kind.LIMIT,
        lambda: (
            _("The server's limit on how much this account may send is reached."),
            _("Send the rest later; most limits end within 24 hours."),
        ),
        None,
        "Sending",
    ),
    _Pattern(
        r"451 .*Maximum credits exceeded",
        "",
        Kind.LIMIT,
        lambda: (
            _("The provider's plan for this account is used up."),
            _("Enlarge the plan, or wait for its next period."),
        ),
        None,
        "Sending",
    ),
    _Pattern(
        r"53[08] .*(STARTTLS|Encryption required)",
        "",
        Kind.CONFIG,
        lambda: (
            _("The server wants an encrypted connection first."),
            _("Choose STARTTLS, or port 465 with TLS."),
        ),
        "security",
        "Ports",
    ),
    _Pattern(
        r"530 5\.7\.(0|57)|530 5\.5\.1|(530|550) .*(authentication (is )?required|not authenticated)",
        "",
        Kind.AUTH,
        lambda: (
            _("The server wants a sign-in before it takes mail."),
            _("Fill in Username and Password."),
        ),
        "username",
        "Passwords",
    ),
    _Pattern(
        r"550 5\.7\.60|554 5\.2\.252|SendAsDenied|55[013] .*(not owned by (auth )?user|From: address not verified"
        r"|not one of your addresses|Not authori[sz]ed to send from|Relaying disallowed as"
        r"|does not match a verified Sender|Sender address rejected)",
        "",
        Kind.CONFIG,
        lambda: (
            _("The server does not let this account send from this address."),
            _("Use the account's own address as the sender's, or have the right to send as it granted."),
        ),
        "email_address",
        "Addresses",
    ),
    _Pattern(
        r"[45]5\d .*(relay(ing)? (access )?(denied|prohibited)|(unable|not (allowed|permitted)) to relay)",
        "",
        Kind.CONFIG,
        lambda: (
            _("The server delivers no mail to other places for somebody who has not signed in."),
            _("Fill in Username and Password; if they are, ask the server's administrator."),
        ),
        "username",
        "Passwords",
    ),
    _Pattern(
        r"554 .*Email address is not verified",
        "",
        Kind.CONFIG,
        lambda: (
            _("Amazon SES sends from verified addresses only, and in its sandbox also only to them."),
            _("Verify the address that it names, or ask Amazon to move your account out of the sandbox."),
        ),
        "email_address",
        "Amazon SES",
    ),
    _Pattern(
        r"55[24] .*(size|too (large|big))|552 5\.[23]\.[34]",
        "",
        Kind.MESSAGE,
        lambda: (
            _("The server finds this message too large."),
            _("Send a smaller document; in an email it grows by about 37 %."),
        ),
        None,
        "Sending",
    ),
)


def cause(reply: Reply, phase: str, host: str) -> Cause:
    """Say what a negative reply means, at this phase (as in `Diagnosis`) and from this server."""
    line = str(reply)
    for pattern in _PATTERNS:
        if re.search(pattern.reply, line, re.IGNORECASE) and re.search(pattern.hosts, host):
            message, hint = pattern.say()
            return Cause(pattern.kind, message, hint, pattern.field, pattern.guide)
    return _sign_in_cause(reply, host) if phase == "auth" else _general(reply, phase)


def _sign_in_cause(reply: Reply, host: str) -> Cause:
    if _transient(reply):
        return Cause(
            Kind.TEMPORARY,
            _("The server cannot check the password at the moment."),
            _("Try again in a few minutes."),
        )
    provider = presets.by_host(host)
    return Cause(
        Kind.AUTH,
        _("The server does not accept this username and password."),
        _("Check Username and Password; many providers want an app password made for this purpose."),
        "password",
        provider.guide if provider else "Passwords",
    )


def _transient(reply: Reply) -> bool:
    return 400 <= reply.code < 500  # noqa: PLR2004 - RFC 5321 4.2.1


def _general(reply: Reply, phase: str) -> Cause:
    if _transient(reply):
        return Cause(
            Kind.TEMPORARY, _("The server does not take mail at the moment."), _("Try again in a few minutes.")
        )
    if phase == "rcpt":
        return Cause(
            Kind.RECIPIENT,
            _("The server refuses this recipient."),
            _("Check the recipient's address."),
            None,
            "Sending",
        )
    if phase == "mail":
        return Cause(
            Kind.CONFIG,
            _("The server refuses this sender."),
            _("Check the sender's address."),
            "email_address",
            "Addresses",
        )
    if phase == "data":
        return Cause(
            Kind.MESSAGE,
            _("The server refuses this message."),
            _("Read what the server said; size, links and kinds of attachment are common reasons."),
            None,
            "Sending",
        )
    return Cause(
        Kind.CONFIG,
        _("The server does not want to talk to this computer."),
        _("Check the server's name and the port, or ask its administrator."),
        "host",
        "Ports",
    )


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def refusal(reply: Reply, phase: str, host: str, refused: Mapping[str, Reply] | None = None) -> SendError:
    """Return the exception for a negative reply, with the server's own words in its sentence."""
    found = cause(reply, phase, host)
    what = f"{found.message.rstrip('.')}: {', '.join(refused)}." if refused else found.message
    message = _("{what} It said: {reply}").format(what=what, reply=_sentence(str(reply)))
    return TREATMENT[found.kind].error(
        message,
        kind=found.kind,
        phase=phase,
        reply=reply,
        refused=refused,
        hint=found.hint,
        field=found.field,
        guide=found.guide,
    )
