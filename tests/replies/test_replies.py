"""A server's words are shown clean, without the password, and with what they mean and which field to change."""

from __future__ import annotations

import base64
import html
import json
import random
import re
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from docmail import presets
from docmail.errors import (
    TREATMENT,
    Action,
    AuthenticationError,
    Deferred,
    Kind,
    Refused,
)
from docmail.replies import clean, meaning_of, redact, redaction, refusal
from docmail.reply import Reply
from docmail.secret import Secret

MASK = "•••"


# --- cleaning ---


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("  2.0.0   OK\tqueued\r\n as 1 ", "2.0.0 OK queued as 1"),
        ("\x1b[31mred\x1b[0m \x1b]0;title\x07text \x1b(B\x9b", "red text"),
        ("a\x1b", "a"),
        ("a\x00b\x07c\u202ed\u200be", "a b c d e"),
        ("<html><body><h1>502</h1><p class='x'>Bad&nbsp;gateway &amp; co</p></body></html>", "502 Bad gateway & co"),
        ("a<br/>b<BR>c<hr />d", "a b c d"),
        ("<script>alert(1)</script>no<style>*{}</style>", "no"),
        ("no <script>alert(1)", "no"),
        ("no <!-- comment -->yes<!-- open", "no yes"),
        ("<!DOCTYPE html>no", "no"),
        ("<DATA>: Data command rejected", "<DATA>: Data command rejected"),
        ("<accounts>: Recipient address rejected", "<accounts>: Recipient address rejected"),
        ("<a@example.com>: unknown", "<a@example.com>: unknown"),
        ("<https://accounts.example.com/x?y=1> Please log in", "<https://accounts.example.com/x?y=1> Please log in"),
        ("1 < 2 > 0", "1 < 2 > 0"),
        ("", ""),
    ],
)
def test_words_are_shown_as_one_plain_line(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(st.text(st.one_of(st.characters(), st.sampled_from("<>&;!-/\x1b[]am ")), max_size=300))
def test_whatever_a_server_says_is_one_printable_line(text: str) -> None:
    shown = clean(text)
    assert shown.isprintable()
    assert shown == shown.strip()
    assert "  " not in shown


def test_long_words_are_cut_and_say_so() -> None:
    assert clean("x" * 2000) == "x" * 2000
    assert clean("x" * 2001) == "x" * 1999 + "…"


@pytest.mark.parametrize(
    "piece",
    [
        *("<", "<a", "<a ", "<a b", "</", "<script>", "<script></script ", "<!", "<!--", "&", "&#", "&amp;", "a" * 999),
        *("\x1b", "\x1b[", "\x1b[0", "\x1b]", "\x1b]x\x1b", "\u202e", " ", "QUJD", "=", "<a " + "b" * 499, "%41"),
        *("\n", "a\n", "<b>", "a<b>", "\x1e", "1", "0"),
    ],
)
@pytest.mark.parametrize("before", ["", "&#"])
def test_much_of_anything_is_cleaned_in_time(before: str, piece: str) -> None:
    """Whatever takes four times as long for twice as much would be ended by the time limit of the tests."""
    text = before + (piece * 200_000)[:200_000]
    assert len(clean(text, Secret("hunter2 & p\u00e4ss"))) <= 2000


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a&#50;b", "a2b"),
        ("a&#" + "0" * 9000 + "50;b", "a2b"),
        ("a&#" + "9" * 9000 + ";b", "a\ufffdb"),
        ("a&#x" + "f" * 9000 + ";b", "a\ufffdb"),
        ("&#" + "0" * 9000, "\ufffd"),
    ],
)
def test_a_character_s_number_may_be_of_any_length(text: str, shown: str) -> None:
    assert clean(text) == shown


# --- the password ---

PASSWORDS = [
    "hunter2",
    "p\u00e4ss w\u00f6rd",
    "a<b>c&d",
    "x\u00a0y z9",
    "tr\\ap\"per'",
    "%41bcd",
    "abcdefghijklmnop",
    "日本語パス",
    "~~~???>>>",
    "hunter2/a b+cdef",
    "hunter2%",
]


def forms(password: str) -> list[str]:
    """Return how servers have been seen, or can be imagined, to echo a password."""
    raw = password.encode()
    plain_responses = [
        b"\0" * before + b"user@example.com"[:length] + b"\0" + raw for before in (0, 1) for length in range(4)
    ]
    encoded = [base64.b64encode(response).decode() for response in [raw, b"user:" + raw, *plain_responses]]
    return [
        password,
        html.escape(password),
        quote(password),
        quote(password, safe=""),
        quote(password, safe="").lower() if password.isascii() else quote_plus(password),
        quote_plus(password),
        repr(password)[1:-1],
        json.dumps(password)[1:-1],
        raw.decode("latin-1"),
        *encoded,
        *(text.rstrip("=") for text in encoded),
        base64.urlsafe_b64encode(raw).decode(),
    ]


@pytest.mark.parametrize("password", PASSWORDS)
def test_no_form_of_the_password_survives(password: str) -> None:
    secret = Secret(password)
    assert [redact(form, secret) for form in forms(password)[:9]] == [MASK] * 9
    for form in forms(password):
        for text in (f"535 5.7.8 <{form}> refused", f"bad password {form}", form, f"x={form}; y"):
            for shown in (clean(text, secret), redact(text, secret)):
                assert MASK in shown
                # A letter or two at the edge of glued base64 may stay; nothing of the length of a word does.
                for piece in re.findall(r"[^\W_]{4,}", form):
                    assert piece not in shown.replace("535", "").replace("refused", "")


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=4, max_size=30),
    st.integers(0, 8),
)
@hypothesis_settings(max_examples=200)
@example("    ", 0)
@example("••••", 0)
def test_the_password_is_found_in_a_sign_in_at_any_offset(password: str, length: int) -> None:
    response = base64.b64encode(b"\0" + b"username"[:length] + b"\0" + password.encode()).decode()
    assert redact(f"334 {response} is wrong", Secret(password)) == f"334 {MASK} is wrong"


def decoded_pieces(text: str) -> bytes:
    """Return what a curious reader would find in the base64 of a text, wherever it begins."""
    pieces = [piece[start:] for piece in re.findall(r"[A-Za-z0-9+/]{4,}", text) for start in range(4)]
    return b" ".join(base64.b64decode(piece[: len(piece) // 4 * 4]) for piece in pieces)


def test_base64_that_is_cut_or_glued_shows_no_password() -> None:
    secret = Secret("correct horse battery")
    for around in (b"password=%s;", b"%s\r\n", b"<%s>"):
        assert redact(base64.b64encode(around % secret.octets()).decode(), secret) == MASK
    for length in range(9):
        response = base64.b64encode(b"\0" + b"username"[:length] + b"\0" + secret.octets()).decode()
        for end in range(length + 12, len(response)):
            assert b"cor" not in decoded_pieces(redact(f"AUTH PLAIN {response[:end]}...", secret))
        for text in (f"PLAIN/{response}", f"{response}/x", f"x{response}", f"{response}{response}"):
            assert b"horse" not in decoded_pieces(redact(text, secret))


@pytest.mark.parametrize("text", ["hunter&#50;", "hun\x1b[1mter2", "<i>hunter2", "x=hunter2<br>"])
def test_what_is_the_password_once_it_is_cleaned_is_redacted_too(text: str) -> None:
    assert "hunter2" not in clean(f"bad {text} here", Secret("hunter2")).replace(" ", "")


# One whose own letters pass for a tag loses them with that tag.
@pytest.mark.parametrize("password", [password for password in PASSWORDS if "<b>" not in password])
@pytest.mark.parametrize("between", ["", "<b>", "<wbr>", "\r\n", "</td>\n<td>", "\x1b[0m", " <br> "])
def test_a_password_that_goes_on_in_the_next_line_or_behind_a_tag_is_found(password: str, between: str) -> None:
    secret = Secret(password)
    for form in (password, base64.b64encode(secret.octets()).decode()):
        for first in range(1, len(form)):
            for second in range(first, len(form), 3):
                parts = [form[:first], form[first:second], form[second:]]
                if between:
                    shown = clean(f"You said {between.join(parts)}, which is wrong", secret)
                else:
                    shown = clean([f"You said {parts[0]}", parts[1], f"{parts[2]}, which is wrong"], secret)
                assert shown.startswith("You said ")
                assert shown.endswith("which is wrong")
                assert MASK in shown
                # Two letters of base64 at an edge say less than one of the password.
                assert sum(map(len, re.findall(r"\w+", shown.removeprefix("You said ")))) <= len("whichiswrong") + 4


def test_lines_keep_their_words_apart_where_no_password_is() -> None:
    lines = ["Username and Password not", "accepted.", "Learn more"]
    assert clean(lines, Secret("hunter2-geheim")) == "Username and Password not accepted. Learn more"


def test_a_sign_in_that_is_wrapped_shows_no_password() -> None:
    secret = Secret("correct horse battery")
    response = base64.b64encode(b"\0accounts@example.com\0" + secret.octets()).decode()
    for width in range(5, len(response)):
        lines = ["Cannot decode", *(response[start : start + width] for start in range(0, len(response), width))]
        # Joined again as a curious reader would.
        assert b"horse" not in decoded_pieces(clean(lines, secret).replace(" ", ""))


@pytest.mark.parametrize("password", ["a", "it", "the", "5.7"])
def test_a_very_short_password_tears_no_holes_into_words(password: str) -> None:
    text = f"535 5.7.8 Authentication of the item failed: {password}"
    shown = redact(text, Secret(password))
    assert "Authentication" in shown
    assert "item" in shown
    assert shown.endswith(f": {MASK}")
    for response in (f"\0me\0{password}", f"me:{password}"):
        encoded = base64.b64encode(response.encode()).decode()
        assert redact(f"bad {encoded}", Secret(password)) == f"bad {MASK}"


@given(st.text(min_size=1, max_size=6), st.text(max_size=60))
@example("\ud800x", "\ud800x")
def test_any_password_is_redacted_from_any_text_without_a_failure(password: str, text: str) -> None:
    shown = redact(f"{text} {password} {text}", Secret(password))
    assert len(password) < 4 or password not in shown.replace(MASK, "") or set(password) <= set("• ")


def test_without_a_password_nothing_is_redacted() -> None:
    for text in ("hunter2", base64.b64encode(b"user:").decode()):
        assert redact(text, None) == redact(text, Secret("")) == text


# --- what they mean ---

# As recorded by providers and written in their manuals; the phase decides where nothing is known about a server.
RECORDED = {
    (Kind.AUTH, "password", "Gmail"): [
        "smtp.gmail.com auth 535 5.7.8 Username and Password not accepted. ?p=BadCredentials",
        "smtp.gmail.com auth 534 5.7.9 Application-specific password required. ... ?p=InvalidSecondFactor",
        "smtp.gmail.com auth 534 5.7.14 <https://accounts.google.com/signin> Please log in via your web browser",
    ],
    (Kind.AUTH, "username", "Passwords"): [
        "smtp.gmail.com mail 530 5.5.1 Authentication Required. Learn more at ?p=WantAuthError",
        "smtp.gmail.com mail 530 5.7.0 Authentication Required.",
        "smtp.office365.com mail 530 5.7.57 Client not authenticated to send mail.",
    ],
    (Kind.LIMIT, None, "Sending"): [
        "smtp.gmail.com data 550 5.4.5 Daily user sending limit exceeded.",
        "smtp.zoho.com data 550 5.4.6 Unusual sending activity detected.",
        "email-smtp.eu-west-1.amazonaws.com data 454 Throttling failure: Maximum sending rate exceeded.",
        "email-smtp.eu-west-1.amazonaws.com data 454 Throttling failure: Daily message quota exceeded.",
        "smtp.sendgrid.net auth 451 Authentication failed: Maximum credits exceeded",
        "mail.example.com data 454 4.7.0 Temporary: daily limit exceeded",
        "mail.gmx.net data 450 Requested mail action not taken: Mail send limit exceeded.",
        "mail.example.com mail 452 4.7.1 Outgoing message quota exceeded, try tomorrow",
        "mail.example.com rcpt 451 4.7.1 You have reached your limit of 100 messages per hour",
        "mail.example.com rcpt 421 4.7.0 Exceeded your daily limit for message recipients",
        "mail.example.com data 550 Domain example.com has exceeded the max emails per hour (101/100) allowed.",
        "mail.example.com data 554 5.7.1 You sent the maximum for 24 hours",
    ],
    (Kind.TEMPORARY, None, "Sending"): [
        "smtp.gmail.com rcpt 452 4.5.3 Your message has too many recipients.",
        "smtp.gmail.com greeting 421 4.7.0 Try again later, closing connection.",
        "smtp.gmail.com auth 454 4.7.0 Too many login attempts, please try again later.",
        "smtp.gmail.com greeting 421 4.4.5 Server busy, try again later.",
        "smtp.office365.com greeting 432 4.3.2 Concurrent connections limit exceeded.",
        "mail.example.com rcpt 450 4.2.0 <x@example.com>: Recipient address rejected: Greylisted",
    ],
    (Kind.MESSAGE, None, "Sending"): [
        "smtp.gmail.com data 552 5.2.3 Your message exceeded Google's message size limits.",
        "mail.example.com mail 552 5.3.4 Message size exceeds fixed limit",
        "smtp.gmail.com data 552 5.7.0 Blocked because its content presents a potential security issue.",
        "mail.example.com data 554 5.7.1 Message rejected as spam by policy",
        "mail.example.com data 550 No.",
    ],
    (Kind.AUTH, "password", "Microsoft 365"): [
        "smtp.office365.com auth 535 5.7.139 SmtpClientAuthentication is disabled for the Tenant.",
        "smtp.office365.com auth 535 5.7.139 SmtpClientAuthentication is disabled for the Mailbox.",
        "smtp.office365.com auth 535 5.7.139 locked by your organization's security defaults policy.",
        "smtp.office365.com auth 535 5.7.139 Authentication unsuccessful, the request did not meet the criteria",
        "smtp.office365.com mail 550 5.7.30 Basic authentication is not supported for Client Submission.",
        "smtp.office365.com auth 535 5.7.3 Authentication unsuccessful",
    ],
    (Kind.AUTH, "password", "Outlook.com"): [
        "smtp-mail.outlook.com auth 535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
    ],
    (Kind.CONFIG, "email_address", "Addresses"): [
        "smtp.office365.com data 550 5.7.60 SMTP; Client does not have permissions to send as this sender",
        "smtp.office365.com data 554 5.2.252 SendAsDenied; a@example.com not allowed to send as b@example.com",
        "smtp.mail.yahoo.com mail 553 From: address not verified; see http://help.yahoo.com",
        "smtp.mail.me.com data 550 5.7.0 From address is not one of your addresses",
        "smtp.fastmail.com data 551 5.7.1 Not authorised to send from this header address",
        "smtp.yandex.com mail 553 5.7.1 Sender address rejected: not owned by auth user.",
        "smtp.zoho.com mail 553 Relaying disallowed as a@example.com",
        "smtp.sendgrid.net data 550 The from address does not match a verified Sender Identity.",
        "mail.example.com mail 550 No.",
    ],
    (Kind.AUTH, "password", "Yahoo Mail"): [
        "smtp.mail.yahoo.com auth 535 5.7.0 (#AUTH005) Too many bad auth attempts.",
    ],
    (Kind.AUTH, "password", "Yandex Mail"): [
        "smtp.yandex.com auth 535 5.7.8 This user does not have access rights to this service",
    ],
    (Kind.AUTH, "password", "GMX"): [
        "mail.gmx.net auth 535 Authentication credentials invalid",
    ],
    (Kind.AUTH, "password", "Amazon SES"): [
        "email-smtp.eu-west-1.amazonaws.com auth 535 Authentication Credentials Invalid",
    ],
    (Kind.CONFIG, "email_address", "Amazon SES"): [
        "email-smtp.eu-west-1.amazonaws.com data 554 Message rejected: Email address is not verified.",
    ],
    (Kind.RECIPIENT, None, "Sending"): [
        "mail.example.com rcpt 550 5.1.1 <x@example.com>: Recipient address rejected: User unknown",
        "mail.example.com rcpt 552 5.2.2 <x@example.com> Mailbox quota exceeded",
        "mail.example.com rcpt 550 No.",
    ],
    (Kind.CONFIG, "username", "Passwords"): [
        "mail.example.com rcpt 454 4.7.1 <x@example.com>: Relay access denied",
    ],
    (Kind.CONFIG, "security", "Ports"): [
        "mail.example.com mail 530 5.7.0 Must issue a STARTTLS command first",
        "mail.example.com auth 538 5.7.11 Encryption required for requested authentication mechanism",
    ],
    (Kind.AUTH, "password", "Passwords"): [
        "mail.example.com auth 535 5.7.8 Error: authentication failed",
    ],
    (Kind.CONFIG, "host", "Ports"): [
        "mail.example.com greeting 554 No.",
        "mail.example.com ehlo 502 No.",
    ],
}


def reply(line: str) -> Reply:
    found = re.fullmatch(r"(\d{3}) (?:(\d\.\d+\.\d+) )?(.*)", line)
    assert found
    return Reply(int(found[1]), found[2] or "", clean(found[3]))


@pytest.mark.parametrize(("meaning", "line"), [(meaning, line) for meaning in RECORDED for line in RECORDED[meaning]])
def test_a_recorded_reply_means_what_its_provider_says(meaning: tuple[Kind, str | None, str | None], line: str) -> None:
    host, phase, words = line.split(" ", 2)
    found = meaning_of(reply(words), phase, host)
    guide = meaning[2]
    assert (found.kind, found.field, found.guide) == meaning
    assert found.message.endswith(".")
    assert found.hint.endswith(".")
    if guide:
        assert presets.guide(guide).title == guide


@pytest.mark.parametrize(
    ("line", "guide"),
    [
        ("535 5.7.8 Username and Password not accepted. https://support.google.com/mail/?p=BadCredentials", "Gmail"),
        ("535 5.7.3 Authentication unsuccessful [DB6P189.EURP189.PROD.OUTLOOK.COM]", "Microsoft 365"),
        ("535 5.7.0 (#AUTH005) Too many bad auth attempts.", "Yahoo Mail"),
    ],
)
def test_a_provider_is_known_by_its_signs_behind_any_name(line: str, guide: str) -> None:
    assert meaning_of(reply(line), "auth", "relay.example.com").guide == guide


@pytest.mark.parametrize("words", ["554 5.7.1 <x@example.com>: Relay access denied", "550 5.7.1 Unable to relay"])
def test_who_may_not_relay_is_told_to_sign_in_only_if_he_has_not(words: str) -> None:
    stranger = meaning_of(reply(words), "rcpt", "mail.example.com")
    assert (stranger.kind, stranger.field, stranger.guide) == (Kind.CONFIG, "username", "Passwords")
    known = meaning_of(reply(words), "rcpt", "mail.example.com", signed_in=True)
    assert (known.kind, known.field, known.guide) == (Kind.RECIPIENT, None, "Sending")
    assert "Username" not in known.hint


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("550 5.4.6 Routing loop detected", Kind.RECIPIENT),
        ("550 5.4.6 Hop count exceeded", Kind.RECIPIENT),
        ("552 5.3.4 Message size limit exceeded", Kind.MESSAGE),
        ("550 5.2.2 Mailbox size limit exceeded", Kind.RECIPIENT),
        ("550 Daily message limit exceeded", Kind.LIMIT),
        ("504 5.7.4 Unrecognized authentication type", Kind.RECIPIENT),
        ("452 4.2.2 Mailbox quota exceeded", Kind.TEMPORARY),
        ("450 4.2.2 User over quota", Kind.TEMPORARY),
        ("452 4.3.1 Insufficient system storage", Kind.TEMPORARY),
        (
            "450 4.2.1 The user you are trying to contact is receiving mail at a rate over the hourly limit",
            Kind.TEMPORARY,
        ),
        ("451 4.5.1 The recipient <x@example.com> has exceeded their daily limit. Try again later", Kind.TEMPORARY),
        ("450 4.7.1 Error: too much mail from 192.0.2.1", Kind.TEMPORARY),
        ("450 4.7.1 Rate limit exceeded", Kind.TEMPORARY),
        ("432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", Kind.TEMPORARY),
        ("421 4.4.2 Message submission rate for this client has exceeded the configured limit", Kind.TEMPORARY),
        ("450 4.7.1 Greylisted, come back in an hour", Kind.TEMPORARY),
        ("452 4.5.3 Your message has too many recipients. See sending limits", Kind.TEMPORARY),
    ],
)
def test_words_that_are_nearly_another_replys_mean_their_own(line: str, kind: Kind) -> None:
    assert meaning_of(reply(line), "rcpt", "mail.example.com").kind is kind


def test_a_sign_in_that_the_server_does_not_know_is_no_wrong_password() -> None:
    found = meaning_of(Reply(504, "5.7.4", "Unrecognized authentication type"), "auth", "mail.example.com")
    assert (found.kind, found.field) == (Kind.CONFIG, "port")


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("smtp.sendgrid.net", "must be apikey"),
        ("smtp.fastmail.com", "app password at Fastmail"),
        ("email-smtp.eu-west-1.amazonaws.com", "not an IAM key"),
        ("smtp.web.de", "before the @"),
        ("mail.gmx.net", "whether GMX lets mail programs in"),
        ("smtp.postmarkapp.com", "key that Postmark made"),
        ("smtp-mail.outlook.com", "no longer accepts passwords"),
        ("mail.example.com", "many providers want an app password"),
    ],
)
def test_a_wrong_password_says_what_this_provider_wants(host: str, words: str) -> None:
    found = meaning_of(Reply(535, "", "No"), "auth", host)
    assert words in found.hint
    assert (found.kind, found.field) == (Kind.AUTH, "password")


def test_a_known_providers_words_from_another_server_are_not_that_providers() -> None:
    found = meaning_of(Reply(535, "5.7.3", "Authentication unsuccessful"), "auth", "mail.example.com")
    assert (found.guide, "Microsoft" in found.message) == ("Passwords", False)
    found = meaning_of(
        Reply(535, "5.7.8", "Username and Password not accepted"), "auth", "smtp.evil-gmail.com.example.org"
    )
    assert "Gmail" not in found.message


@given(
    st.integers(400, 599),
    st.text(max_size=40),
    st.sampled_from(["greeting", "ehlo", "tls", "auth", "mail", "rcpt", "data", ""]),
)
def test_any_refusal_has_a_kind_a_sentence_and_a_hint(code: int, text: str, phase: str) -> None:
    error = refusal(Reply(code, "", clean(text)), phase, "mail.example.com")
    assert type(error) is TREATMENT[error.kind].error
    assert error.phase == phase
    assert error.hint.endswith(".")
    assert str(code) in error.message
    assert error.kind in {Kind.TEMPORARY, Kind.LIMIT} or code >= 500 or "elay" in text


@pytest.mark.parametrize(
    ("phase", "code", "error", "action"),
    [
        ("auth", 535, AuthenticationError, Action.STOP),
        ("rcpt", 550, Refused, Action.DROP),
        ("data", 451, Deferred, Action.REPEAT),
    ],
)
def test_a_refusal_is_the_exception_that_its_treatment_names(
    phase: str, code: int, error: type[Exception], action: Action
) -> None:
    found = refusal(Reply(code, "", "No"), phase, "mail.example.com")
    assert type(found) is error
    assert TREATMENT[found.kind].action is action


def test_a_refusal_holds_the_servers_own_words_and_the_recipients() -> None:
    refused = {"x@example.com": Reply(550, "5.1.1", "unknown")}
    error = refusal(refused["x@example.com"], "rcpt", "mail.example.com", refused)
    assert str(error) == (
        "The server refuses this recipient: x@example.com. It said: 550 5.1.1 unknown. Check the recipient's address."
    )
    assert error.refused == refused
    assert (error.reply, error.guide) == (refused["x@example.com"], "Sending")


def test_a_reply_is_written_as_servers_write_it() -> None:
    assert str(Reply(250, "2.0.0", "OK")) == "250 2.0.0 OK"
    assert str(Reply(354, "", "")) == "354"
    assert [Reply(code, "", "").positive for code in (199, 200, 250, 299, 300, 354, 421)] == [
        *(False, True, True, True, False, False, False),
    ]


@pytest.mark.parametrize("password", ["a", "ab", "abcd", "hunter2 x", "p@ss:w0rd%41", "ABab12+/"])
def test_a_simple_line_is_cleaned_the_short_way_as_it_would_be_the_long_way(
    monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    chance, secret = random.Random(password), Secret(password)  # noqa: S311 - the same each time
    octets = secret.octets()
    echoed = [
        *redaction._echoes(secret),
        *(
            base64.b64encode(said).decode()
            for said in (octets, b"\0u\0" + octets, b"u:" + octets, b"\0u\0" + octets[:2])
        ),
    ]
    lines = []
    for _ in range(400):
        words = ["".join(chance.choices("abAB12+/=-_.:;,()[]@#%'!?{}", k=chance.randrange(1, 9))) for _ in range(3)]
        lines.append(" ".join([*words[:2], chance.choice(["", "x"]) + chance.choice(echoed), words[2]]))
    lines = [line for line in lines if redaction._SIMPLE.fullmatch(line)]
    short = [clean(line, secret) for line in lines]
    monkeypatch.setattr(redaction, "_SIMPLE", re.compile(r"(?!)"))
    assert short == [clean(line, secret) for line in lines]
    assert len(lines) > 100
