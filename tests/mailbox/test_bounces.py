"""What servers report of undelivered mails is read in each of their forms, and nothing is read in any other mail."""

from __future__ import annotations

import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from docmail.mailbox import read_bounces
from docmail.replies import meaning_of_bounce
from tests.support.bounces import BOUNCES, GONE, MESSAGE_ID, NO_BOUNCES, RETURNED, Case, group, mixed, notification

if TYPE_CHECKING:
    import random


@pytest.mark.parametrize("case", BOUNCES, ids=lambda case: case.name)
def test_recipient_status_and_mail_are_found_in_the_forms_of_many_servers(case: Case) -> None:
    found = read_bounces(case.raw)
    assert tuple((each.recipient, each.status, each.action) for each in found) == case.expected
    for each in found:
        assert not case.message_id or case.message_id in each.message_ids
        assert each.envelope_id == case.envelope_id


@pytest.mark.parametrize("eol", ["\n", "\r\n"])
def test_line_ends_do_not_matter(eol: str) -> None:
    (found,) = read_bounces(notification(group(GONE, diagnostic="smtp; 550 gone"), eol=eol))
    assert (found.recipient, found.diagnostic, found.message_ids[0]) == (GONE, "550 gone", MESSAGE_ID)


@pytest.mark.parametrize("name", NO_BOUNCES)
def test_answers_receipts_and_other_mails_are_no_bounces(name: str) -> None:
    assert read_bounces(NO_BOUNCES[name]) == []


def test_a_mail_that_comes_back_is_not_one_of_those_that_it_answers() -> None:
    """A reminder that bounces says nothing of the mail of which it reminds, nor does a reply from Outlook."""
    returned = f"References: <first@example.com>\nIn-Reply-To: <first@example.com>\n{RETURNED}"
    for head in ("", f"In-Reply-To: {MESSAGE_ID}\nReferences: <first@example.com> {MESSAGE_ID}\n"):
        (found,) = read_bounces(notification(group(GONE), returned=returned, head=head))
        assert found.message_ids == (MESSAGE_ID,)


def test_an_address_as_it_stood_in_the_command_is_known_decoded_as_well() -> None:
    (found,) = read_bounces(notification(group("x@example.net", original="rfc822;gone+2Bq3@example.org")))
    assert (found.recipient, *found.also) == ("gone+2Bq3@example.org", "gone+q3@example.org", "x@example.net")


def test_what_a_server_says_is_cleaned() -> None:
    (found,) = read_bounces(
        notification(group(GONE, diagnostic="smtp; 550 \x1b[31mred\x1b[0m <script>alert(1)</script> " + "x" * 9000))
    )
    assert found.diagnostic.startswith("550 red x")
    assert len(found.diagnostic) <= 500


@pytest.mark.parametrize(
    ("status", "diagnostic", "sentence"),
    [
        ("5.1.1", "", "There is no such mailbox; check the address."),
        ("5.1.10", "", "There is no such mailbox; check the address."),
        ("5.2.2", "", "The mailbox is full; the recipient has to make room before it is sent again."),
        (
            "5.7.1",
            "550 5.7.1 Blocked",
            "The recipient's server refuses the mail by its rules, such as those against spam.",
        ),
        (
            "5.7.1",
            "550 5.7.1 The mailbox is full",
            "The mailbox is full; the recipient has to make room before it is sent again.",
        ),
        ("5.4.7", "", "The recipient's server could not be reached until the mail was given up."),
        ("5.1.2", "", "The domain of this address takes no mail; check what stands behind the @."),
        ("", "Benutzer verreist", "The mail came back undelivered."),
    ],
)
def test_each_bounce_has_a_sentence(status: str, diagnostic: str, sentence: str) -> None:
    assert meaning_of_bounce(status, diagnostic) == sentence


def test_a_delay_is_said_to_be_one() -> None:
    assert meaning_of_bounce("4.4.1", "", delayed=True) == "Not delivered yet; the server is still trying."


# --- hostile mail ---


def nested(levels: int) -> bytes:
    opened = "".join(f"Content-Type: multipart/mixed; boundary=b{each}\n\n--b{each}\n" for each in range(levels))
    return opened.encode() + b"Content-Type: message/delivery-status\n\n" + group(GONE).encode()


HOSTILE = {
    "ten thousand levels": nested(10_000),
    "a mail in a mail, without end": b"Content-Type: message/rfc822\n\n" * 60_000,
    "half a million parts": b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\n" * 400_000,
    "headers without end": b"X-A: b\n" * 300_000 + b"\n",
    "one header of megabytes": b"References: " + b"<a@b> " * 400_000 + b"\n\n",
    "a folded header without end": b"From: postmaster@x\n" + b" x\n" * 700_000,
    "recipients without end": notification(*[group(f"a{each}@example.org") for each in range(20_000)]),
    "addresses without end": mixed(
        "mailer-daemon@x.example", [("Content-Type: text/plain", "a@b.example 550 " * 120_000)]
    ),
    "one address without end": mixed(
        "mailer-daemon@x.example", [("Content-Type: text/plain", "550 " + "a" * 900_000 + "@")]
    ),
    "dots without end": mixed("mailer-daemon@x.example", [("Content-Type: text/plain", "550 a@" + "b." * 400_000)]),
    "brackets without end": mixed("mailer-daemon@x.example", [("Content-Type: text/html", "<" * 900_000)]),
    "a boundary of signs": b'Content-Type: multipart/report; boundary="' + b"(a+)+" * 300 + b'"\n\n--(a+)+\n',
    "parameters without end": b"Content-Type: multipart/report" + b';a="' * 50_000 + b"\n\n",
    "a charset that is a trap": mixed(
        "mailer-daemon@x.example", [("Content-Type: text/plain; charset=punycode", "a-b" * 300_000)]
    ),
    "a charset that unpacks": mixed(
        "mailer-daemon@x.example", [("Content-Type: text/plain; charset=zlib", "550 x@y.example")]
    ),
    "base64 without end": mixed(
        "mailer-daemon@x.example",
        [("Content-Type: message/delivery-status\nContent-Transfer-Encoding: base64", "A" * 1_900_001)],
    ),
    "digits without end": notification(f"Final-Recipient: rfc822; {GONE}\nAction: failed\nStatus: " + "5." * 500_000),
    "blank lines without end": notification("\n" * 1_500_000),
    "quoted-printable without end": mixed(
        "mailer-daemon@x.example",
        [("Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable", "=\n" * 900_000)],
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_mail_takes_little_time_and_memory(name: str) -> None:
    raw = HOSTILE[name]
    read_bounces(notification(group(GONE)))  # what is loaded once is not counted
    began = time.process_time()
    read_bounces(raw)
    seconds = time.process_time() - began
    tracemalloc.start()
    try:
        read_bounces(raw)
        _now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert seconds < 1.5
    assert most < 40_000_000


@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=2000))
def test_any_octets_are_read(raw: bytes) -> None:
    read_bounces(raw)


@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(BOUNCES), st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_a_bounce_that_was_cut_or_spoilt_is_read(case: Case, length: int, chance: random.Random) -> None:
    raw = bytearray(case.raw[:length])
    for _each in range(min(len(raw), 8)):
        raw[chance.randrange(len(raw))] = chance.randrange(256)
    for bounce in read_bounces(bytes(raw)):
        assert "@" in bounce.recipient
