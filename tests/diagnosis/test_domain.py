"""The sender's domain: what its DNS says about its mails, what its keeper should change, and what is not claimed."""

from __future__ import annotations

import base64
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import docmail
from docmail.command_line import main
from docmail.diagnosis import (
    Check,
    Diagnosis,
    DomainCheck,
    DomainReport,
    Standing,
    Subject,
    diagnose,
    look_at_domain,
    look_at_sender,
    records,
    spf_terms,
)
from docmail.diagnosis.spf import Senders, judge
from docmail.errors import AddressError
from docmail.presets import catalogue, preset
from docmail.widgets.settings import report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docmail.diagnosis.records import LookUps
    from tests.support.nameserver import NameServer

GOOGLE = "v=spf1 ip4:192.0.2.0/25 ip4:192.0.2.128/25 ip6:2001:db8::/36 ~all"
FACTS: dict[str, dict[str, Any]] = {
    "google-workspace": {"spf_include": "_spf.google.com", "dkim_selectors": ("google",)},
    "gmail": {"spf_include": "", "dkim_selectors": ()},
    "microsoft-365": {"spf_include": "spf.protection.outlook.com", "dkim_selectors": ("selector1", "selector2")},
    "sendgrid": {"spf_include": "", "dkim_selectors": ("s1", "s2")},
}


def key(bits: int) -> str:
    # 512 bits are what such records had, and what no library makes any more
    der = {
        512: base64.b64decode(
            "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAJnTeLfAPpCuNXc2rrmnYpXRYhJTB3IYHI5Cp7RwzzjC"
            "Kgj1ZUZKdh5pTMDAOBHwMBpDkUMNGpe1KbwVXpGNSkECAwEAAQ=="
        )
    }.get(bits)
    if der is None:
        public = generate_private_key(65537, bits).public_key()
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


KEY = key(2048)


@pytest.fixture(autouse=True)
def facts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the providers have facts that do not change."""
    known = tuple(replace(each, **FACTS.get(each.id, {})) for each in preset.built_in())
    monkeypatch.setattr(catalogue, "built_in", lambda: known)
    monkeypatch.delenv("SOCKS5_PROXY", raising=False)


def txt(text: str) -> str:
    """Return a TXT record as a zone file has it, in strings of 255 octets at most."""
    return " ".join(f'"{text[number : number + 250]}"' for number in range(0, max(len(text), 1), 250))


@pytest.fixture
def zone(nameserver: NameServer) -> Zone:
    return Zone(nameserver)


class Zone:
    """Writes the zones of a test: `good()` is example.com as it should be for Google Workspace."""

    def __init__(self, server: NameServer) -> None:
        self.server = server
        for name in ("com", "net"):
            server.add(name, "NS", "ns.test.net.")
        server.add("_spf.google.com", "TXT", txt(GOOGLE))

    def spf(self, *texts: str, name: str = "example.com") -> Zone:
        """Write the TXT records of a name."""
        self.server.add(name, "TXT", txt("some-verification=abc"), *map(txt, texts))
        return self

    def dkim(self, text: str = f"v=DKIM1; k=rsa; p={KEY}", selector: str = "google") -> Zone:
        """Write the record of a key."""
        self.server.add(f"{selector}._domainkey.example.com", "TXT", txt(text))
        return self

    def dmarc(self, *texts: str, name: str = "example.com") -> Zone:
        """Write the policies of a name."""
        self.server.add(f"_dmarc.{name}", "TXT", *map(txt, texts))
        return self

    def mx(self, *values: str) -> Zone:
        """Write where the domain receives its mail."""
        self.server.add("example.com", "MX", *(values or ("1 smtp.google.com.",)))
        return self

    def good(self, *, spf: str = "v=spf1 include:_spf.google.com ~all", dmarc: str = "v=DMARC1; p=reject") -> Zone:
        """Write a zone that is in order."""
        return self.spf(spf).dkim().dmarc(dmarc).mx()


def line(report: DomainReport, subject: str) -> DomainCheck:
    """Return the first line about this."""
    return next(check for check in report.checks if check.subject == subject)


def spf(report: DomainReport) -> tuple[str, str]:
    """Return how SPF stands, and what is said of it."""
    found = line(report, "SPF")
    return str(found.standing), found.text


def google() -> DomainReport:
    return look_at_domain("example.com", provider="google-workspace")


def settings(
    host: str = "smtp.gmail.com", sender: str = "accounts@example.com", username: str = ""
) -> docmail.Settings:
    return docmail.Settings(f"Accounts <{sender}>", docmail.SmtpServer(host, username=username or sender))


# --- a domain as it should be -----------------------------------------------------------------------------------------


def test_a_domain_in_order_needs_nothing(zone: Zone) -> None:
    zone.good()
    report = google()
    assert [(str(check.subject), str(check.standing)) for check in report.checks] == [
        ("SPF", "good"),
        ("DKIM", "good"),
        ("DMARC", "good"),
        ("MX", "good"),
    ]
    assert report.standing == "good"
    assert report.letter == ""


def test_answers_are_kept_so_that_a_second_look_asks_nobody(zone: Zone) -> None:
    zone.good()
    first = google()
    asked = len(zone.server.asked)
    assert asked < 12
    assert google() == first
    assert len(zone.server.asked) == asked


def test_a_truncated_answer_is_fetched_over_tcp(zone: Zone) -> None:
    zone.good()
    zone.server.trouble = "truncate"
    assert google().standing == "good"
    assert any(question.over == "tcp" for question in zone.server.asked)


def test_a_key_is_found_behind_a_chain_of_aliases(zone: Zone) -> None:
    zone.spf("v=spf1 include:spf.protection.outlook.com -all", name="example.com").dmarc("v=DMARC1; p=none").mx()
    zone.spf("v=spf1 ip4:198.51.100.0/24 -all", name="spf.protection.outlook.com")
    zone.server.add("selector1._domainkey.example.com", "CNAME", "a.example.net.")
    zone.server.add("a.example.net", "CNAME", "b.example.net.")
    zone.server.add("b.example.net", "TXT", txt(f"v=DKIM1; p={KEY}"))
    zone.server.add("selector2._domainkey.example.com", "CNAME", "gone.example.net.")
    report = look_at_domain("example.com", provider="Microsoft 365")
    assert line(report, "DKIM").text == "The DKIM key of Microsoft 365 is in place (selector1)."
    assert report.standing == "good"


# --- SPF --------------------------------------------------------------------------------------------------------------


def test_without_a_record_the_letter_has_the_one_to_publish(zone: Zone) -> None:
    zone.server.add("example.com", "TXT", txt("v=spf10 nonsense"), txt("spf2.0/pra ?all"))
    zone.dkim().dmarc("v=DMARC1; p=none").mx()
    report = google()
    assert spf(report) == ("advice", "example.com has no SPF record, which says who may send in its name.")
    assert "\n   v=spf1 include:_spf.google.com ~all\n" in report.letter
    assert report.letter.startswith("To the person who keeps the DNS of example.com:")
    assert report.letter.endswith("docmail domain example.com --provider google-workspace")
    assert line(report, "DMARC").standing == "good"  # DKIM alone is enough


@pytest.mark.parametrize(
    ("record", "standing", "wanted"),
    [
        ("v=spf1 mx -all", "SPF of example.com forbids", "v=spf1 mx include:_spf.google.com -all"),
        ("v=spf1 mx ~all", "SPF of example.com does not name Google Workspace: servers take",
         "v=spf1 mx include:_spf.google.com ~all"),
        ("v=spf1 mx ?all", "SPF of example.com does not name", "v=spf1 mx include:_spf.google.com ?all"),
        ("v=spf1 mx", "SPF of example.com does not name", "v=spf1 mx include:_spf.google.com"),
        ("v=spf1 -all", "SPF of example.com forbids", "v=spf1 include:_spf.google.com -all"),
        ("V=SPF1 MX -ALL", "SPF of example.com forbids", "V=SPF1 MX include:_spf.google.com -ALL"),
        ("v=spf1 -all include:_spf.google.com", "SPF of example.com forbids",
         "v=spf1 include:_spf.google.com -all include:_spf.google.com"),
        ("v=spf1 redirect=_spf.example.net", "SPF of example.com forbids",
         "v=spf1 include:_spf.google.com redirect=_spf.example.net"),
        ("v=spf1 ~include:_spf.google.com ?all", "SPF of example.com does not name",
         "v=spf1 include:_spf.google.com ?all"),
        ("v=spf1 mx -Include:_SPF.google.com ~all", "SPF of example.com forbids",
         "v=spf1 mx Include:_SPF.google.com ~all"),
    ],
)  # fmt: skip
def test_a_record_without_the_provider_is_to_be_changed_and_stays_one(
    zone: Zone, record: str, standing: str, wanted: str
) -> None:
    zone.good(spf=record)
    zone.spf("v=spf1 ip4:198.51.100.7 -all", name="_spf.example.net")
    report = google()
    assert line(report, "SPF").standing == "advice"
    assert line(report, "SPF").text.startswith(standing)
    assert f"from\n   {record}\nto\n   {wanted}" in report.letter
    assert report.letter.count("v=spf1 include") <= 1


@pytest.mark.parametrize(
    "record",
    [
        "v=spf1 include:_spf.google.com -all",
        "v=spf1 a mx include:_SPF.Google.Com. ?all",
        "v=spf1 +include:_spf.google.com",
        "v=spf1 redirect=_spf.google.com",
        "v=spf1 include:spf.example.net -all",
        "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all",
        "v=spf1 ip4:192.0.2.0/26 ip4:192.0.2.64/26 ip4:192.0.2.128/25 ip6:2001:db8::/35 -all",
        "v=spf1 include:_spf.google.com exists:%{i}._spf.example.net -all",
        "v=spf1 exists:%{i}._spf.example.net include:_spf.google.com -all",
        "v=spf1 include:_spf.google.com include:gone.example.net -all",
        "v=spf1 include:_spf.google.com exp=explain.example.com unknown=%{d} -all",
    ],
)
def test_a_provider_is_allowed_by_its_entry_by_what_that_leads_to_or_by_its_addresses(zone: Zone, record: str) -> None:
    zone.good(spf=record)
    zone.spf("v=spf1 include:aspmx.example.net ?all", name="spf.example.net")
    zone.spf("v=spf1 redirect=_spf.google.com", name="aspmx.example.net")
    report = google()
    assert ("good", "SPF of example.com allows Google Workspace.") in [
        (check.standing, check.text) for check in report.checks
    ]


def test_addresses_that_a_provider_has_left_behind_are_recognised(zone: Zone) -> None:
    zone.good(spf="v=spf1 ip4:192.0.2.0/25 -all")
    standing, text = spf(google())
    assert (standing, text) == (
        "advice",
        (
            "SPF of example.com allows some servers of Google Workspace by their addresses, and not all: they have "
            "changed."
        ),
    )


@pytest.mark.parametrize(
    "text", [" v=spf1 include:_spf.google.com ~all", "“v=spf1 mx ~all”", "'v=spf1 -all'", "v=spf1-all", "V = SPF1 mx"]
)
def test_a_record_that_is_nearly_one_is_shown(zone: Zone, text: str) -> None:
    zone.spf(text).dkim().dmarc("v=DMARC1; p=none").mx()
    standing, said = spf(report := google())
    assert (standing, "does not count, because it must begin with v=spf1" in said) == ("advice", True)
    assert "\n   v=spf1 include:_spf.google.com ~all\n" in report.letter


def test_two_records_become_one(zone: Zone) -> None:
    zone.spf("v=spf1 mx -all", "v=spf1 a mx include:_spf.google.com ~all").dkim().dmarc("v=DMARC1; p=none").mx()
    report = google()
    assert spf(report) == ("advice", "example.com has more than one SPF record, so that none of them counts.")
    assert "by this one:\n   v=spf1 a mx include:_spf.google.com ~all\n" in report.letter


@pytest.mark.parametrize(
    "record",
    ["v=spf1 ipv4:192.0.2.1 -all", "v=spf1 include: -all", "v=spf1 ip4:192.0.2.1/33 -all", "v=spf1 ip4:192.0.2 -all",
     "v=spf1, mx -all", "v=spf1 all:example.com", "v=spf1 mx/33 -all", "v=spf1 redirect=a.b redirect=c.d",
     "v=spf1 include:example.net/24 -all", "v=spf1 -all-", "v=spf1 ip6:192.0.2.1 -all", "v=spf1 a:/24 -all",
     "v=spf1;include:_spf.google.com ~all"],
)  # fmt: skip
def test_a_record_with_an_error_counts_for_nothing_and_the_word_is_named(zone: Zone, record: str) -> None:
    zone.good(spf=record)
    report = google()
    assert line(report, "SPF").standing == "advice"
    if record.startswith("v=spf1,"):  # is no SPF record at all
        assert "does not count, because it must begin" in spf(report)[1]
    else:
        assert re.search(r"cannot be read at “[^”]+”", spf(report)[1])
    assert f"\n   {record}" in report.letter or "Please publish" in report.letter


def test_an_include_of_nothing_breaks_a_record_unless_the_provider_stands_before_it(zone: Zone) -> None:
    zone.good(spf="v=spf1 include:gone.example.net include:_spf.google.com -all")
    report = google()
    assert [check.standing for check in report.checks if check.subject == "SPF"] == ["advice"]
    assert "refers with “include:gone.example.net” to a domain that has none" in spf(report)[1]


@pytest.mark.parametrize(("number", "passes"), [(9, True), (10, False), (12, False)])
def test_more_than_ten_look_ups_are_too_many(zone: Zone, number: int, passes: bool) -> None:  # noqa: FBT001
    others = " ".join(f"include:n{each}.example.net" for each in range(number))
    for each in range(number):
        zone.spf("v=spf1 ip4:198.51.100.1 ?all", name=f"n{each}.example.net")
    zone.good(spf=f"v=spf1 {others} include:_spf.google.com -all")
    report = google()
    assert (line(report, "SPF").standing == "good") is passes
    if not passes:
        assert f"takes up to {number + 1} look-ups" in spf(report)[1]


def test_what_stands_behind_the_providers_entry_costs_its_mails_no_look_up(zone: Zone) -> None:
    for each in range(12):
        zone.spf("v=spf1 ip4:198.51.100.1 ?all", name=f"n{each}.example.net")
    others = " ".join(f"include:n{each}.example.net" for each in range(12))
    zone.good(spf=f"v=spf1 include:_spf.google.com {others} -all")
    report = google()
    assert [check.standing for check in report.checks if check.subject == "SPF"] == ["advice", "good"]
    assert line(report, "DMARC").standing == "good"


def test_the_hosts_behind_an_mx_are_one_look_up(zone: Zone) -> None:
    zone.good(spf="v=spf1 mx mx:a.test.net mx:b.test.net a a:c.test.net include:_spf.google.com -all")
    for name in ("a.test.net", "b.test.net"):
        zone.server.add(name, "MX", *(f"{each} mx{each}.test.net." for each in range(8)))
    for each in range(8):
        zone.server.add(f"mx{each}.test.net", "A", "198.51.100.1")
    zone.server.add("c.test.net", "AAAA", "2001:db8:ffff::1")
    zone.server.add("example.com", "A", "198.51.100.9")
    assert spf(google())[0] == "good"


def test_three_names_that_do_not_exist_are_too_many_and_two_are_not(zone: Zone) -> None:
    zone.good(spf="v=spf1 a:x.test.net mx:y.test.net include:_spf.google.com a:z.test.net -all")
    report = google()
    assert spf(report)[1].startswith("3 names in the SPF record of example.com do not exist")
    records.forget()
    zone.server.add("z.test.net", "A", "198.51.100.9")
    assert google().standing == "good"


def test_a_record_that_leads_in_a_circle_ends(zone: Zone) -> None:
    zone.good(spf="v=spf1 include:a.test.net -all")
    zone.spf("v=spf1 include:example.com -all", name="a.test.net")
    assert "leads in a circle at example.com" in spf(google())[1]


@pytest.mark.parametrize(
    ("record", "term"),
    [
        ("v=spf1 include:%{d2}._spf.vendor.test.net -all", "include:%{d2}._spf.vendor.test.net"),
        ("v=spf1 exists:%{i}._spf.test.net -all", "exists:%{i}._spf.test.net"),
        ("v=spf1 ptr -all", "ptr"),
        ("v=spf1 redirect=%{d}.test.net", "redirect=%{d}.test.net"),
        ("v=spf1 include:hosted.test.net -all", "exists:%{i}.x.test.net"),
    ],
)
def test_what_is_decided_mail_by_mail_is_not_judged(zone: Zone, record: str, term: str) -> None:
    zone.spf(record).dmarc("v=DMARC1; p=reject").mx()
    zone.spf("v=spf1 exists:%{i}.x.test.net ?all", name="hosted.test.net")
    report = google()
    assert spf(report)[0] == "unknown"
    assert f"“{term}”" in spf(report)[1]
    assert line(report, "DMARC").standing == "unknown"


@pytest.mark.parametrize("record", ["v=spf1 mx +all", "v=spf1 mx all"])
def test_a_record_that_allows_everybody_is_to_be_closed(zone: Zone, record: str) -> None:
    zone.good(spf=record)
    report = google()
    assert "allows everybody" in spf(report)[1]
    assert "\n   v=spf1 mx include:_spf.google.com ~all" in report.letter


def test_a_subdomain_has_no_part_in_the_record_of_its_domain(zone: Zone) -> None:
    zone.good()
    zone.server.add("mail.example.com", "MX", "1 smtp.google.com.")
    report = look_at_domain("mail.example.com", provider="google-workspace")
    assert spf(report)[1].startswith("mail.example.com has no SPF record")
    assert line(report, "DKIM").standing == "unknown"  # example.com's key may sign as well


def test_what_a_provider_needs_and_docmail_does_not_know_is_not_guessed(zone: Zone) -> None:
    zone.spf("v=spf1 mx -all").dmarc("v=DMARC1; p=reject").mx()
    report = look_at_domain("example.com", provider="aol")
    assert all(check.standing != "advice" for check in report.checks)


# --- a server of one's own --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "standing"),
    [("v=spf1 a:mail.example.com -all", "good"), ("v=spf1 ip4:198.51.100.0/24 -all", "good"),
     ("v=spf1 mx -all", "good"), ("v=spf1 a -all", "unknown")],
)  # fmt: skip
def test_a_server_of_ones_own_is_looked_for_by_its_addresses(zone: Zone, record: str, standing: str) -> None:
    zone.spf(record).dmarc("v=DMARC1; p=reject").mx("10 mail.example.com.")
    zone.server.add("mail.example.com", "A", "198.51.100.7")
    report = look_at_domain("example.com", host="mail.example.com")
    assert spf(report)[0] == standing
    assert report.standing != "advice"
    assert ("a:mail.example.com" in report.letter) is (standing == "unknown")


def test_a_server_behind_a_router_sends_from_an_address_that_nobody_knows_here(zone: Zone) -> None:
    zone.spf("v=spf1 ip4:198.51.100.7 -all").mx().dmarc("v=DMARC1; p=none")
    zone.server.add("mail.example.com", "A", "10.1.2.3")
    assert spf(look_at_domain("example.com", host="mail.example.com"))[0] == "unknown"


# --- DKIM -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "standing", "text"),
    [
        ("v=DKIM1; k=rsa; p=", "advice", "google._domainkey.example.com is revoked"),
        (f"v=DKIM1; k=rsa; p={key(512)}", "advice", "has 512 bits; less than 1024 count for nothing"),
        (f"v=DKIM1; k=rsa; p={KEY[:100]}", "advice", "cannot be read"),
        ("v=DKIM1; k=rsa; p=abc!def", "advice", "cannot be read"),
        (f"k=rsa; p={key(1024)}", "good", "with 1024 bits; 2048 are recommended"),
        (f"v=DKIM1;t=y;p={KEY[:90]} {KEY[90:]}", "good", "is in place (google)"),
        (f"v=DKIM1; k=ed25519; p={base64.b64encode(bytes(32)).decode()}", "good", "is in place (google)"),
        (f"v=DKIM1; h=sha1:sha256; s=email; p={KEY}", "good", "is in place (google)"),
        (f"v=DKIM1; h=sha1; p={KEY}", "advice", "cannot be read"),
        (f"v=DKIM1; s=tlsrpt; p={KEY}", "advice", "cannot be read"),
        (f"v=DKIM1; k=ed25519; p={base64.b64encode(bytes(31)).decode()}", "advice", "cannot be read"),
    ],
)
def test_a_key_is_judged(zone: Zone, record: str, standing: str, text: str) -> None:
    zone.spf("v=spf1 include:_spf.google.com -all").dkim(record).dmarc("v=DMARC1; p=none").mx()
    found = line(google(), "DKIM")
    assert (found.standing, text in found.text) == (standing, True), found.text


def test_an_alias_that_leads_nowhere_is_named(zone: Zone) -> None:
    zone.good().server.add("selector1._domainkey.example.com", "CNAME", "gone.onmicrosoft.test.net.")
    found = line(look_at_domain("example.com", provider="Microsoft 365"), "DKIM")
    assert found.standing == "advice"
    assert found.text.startswith("selector1._domainkey.example.com leads to gone.onmicrosoft.test.net")


def test_no_key_at_all_is_told_from_one_under_another_name(zone: Zone) -> None:
    zone.spf("v=spf1 include:_spf.google.com -all").dmarc("v=DMARC1; p=none").mx()
    assert line(google(), "DKIM").standing == "advice"
    records.forget()
    zone.dkim(selector="elsewhere")
    found = line(google(), "DKIM")
    assert (found.standing, "usual names (google)" in found.text) == ("unknown", True)


def test_a_wildcard_is_no_key_and_no_policy(zone: Zone) -> None:
    zone.spf("v=spf1 include:_spf.google.com -all").mx().server.add("*.example.com", "TXT", txt("v=spf1 -all"))
    report = google()
    assert line(report, "DKIM").standing == "unknown"
    assert "has no DMARC record" in line(report, "DMARC").text


# --- DMARC ------------------------------------------------------------------------------------------------------------


def test_mails_that_nothing_confirms_are_refused_where_the_policy_says_so(zone: Zone) -> None:
    zone.spf("v=spf1 mx -all").mx()
    for policy, words in (
        ("reject", "refused (p=reject)"),
        ("quarantine", "spam folder"),
        ("none", "asks for nothing"),
    ):
        zone.server._records.pop(("_dmarc.example.com", "TXT"), None)
        records.forget()
        zone.dmarc(f"v=DMARC1; p={policy}")
        found = line(google(), "DMARC")
        assert (found.standing, words in found.text) == ("advice", True)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ((), "has no DMARC record"),
        (("v=DMARC1; p=none", "v=DMARC1; p=reject"), "more than one DMARC record"),
        (("v=DMARC1; p=monitor",), "asks for “monitor”"),
        (("v=DMARC10; p=none",), "has no DMARC record"),
        (("v=DMARC1 p=none",), "cannot be read"),
        (("v=DMARC1, p=none",), "cannot be read"),
        (("v=dmarc1; p=reject",), "cannot be read"),
        (("v=DMARC1; p:reject",), "cannot be read"),
        (("v=DMARC1",), "cannot be read"),
    ],
)
def test_a_policy_that_counts_for_nothing_is_named(zone: Zone, texts: tuple[str, ...], words: str) -> None:
    zone.spf("v=spf1 include:_spf.google.com -all").dkim().mx()
    if texts:
        zone.dmarc(*texts)
    found = line(google(), "DMARC")
    assert (found.standing, words in found.text) == ("advice", True)
    assert found.request


@pytest.mark.parametrize(
    ("domain", "policies", "expected"),
    [
        ("a.b.example.com", {"example.com": "v=DMARC1; p=none; sp=reject"}, "reject"),
        ("a.b.example.com", {"example.com": "v=DMARC1; p=quarantine"}, "quarantine"),
        ("a.b.example.com", {"b.example.com": "v=DMARC1; p=none", "example.com": "v=DMARC1; p=reject"}, "reject"),
        ("a.b.example.com", {"b.example.com": "v=DMARC1; p=none; psd=n", "example.com": "v=DMARC1; p=reject"}, "none"),
        ("example.com", {"example.com": "v=DMARC1;p=reject;pct=20", "com": "v=DMARC1; p=none; psd=y"}, "reject"),
        ("example.com", {"com": "v=DMARC1; p=reject; psd=y"}, "reject"),
        ("a.b.c.d.e.f.g.h.i.example.com", {"example.com": "v=DMARC1; p=reject"}, "reject"),
        ("example.com", {"example.com": "v=DMARC1; rua=mailto:a@example.com"}, "none"),
        ("example.com", {"example.com": "v = DMARC1 ; p = Reject ;; pct=x"}, "reject"),
    ],
)
def test_the_policy_is_found_by_a_walk_up_the_names(
    zone: Zone, domain: str, policies: dict[str, str], expected: str
) -> None:
    for name, text in policies.items():
        zone.dmarc(text, name=name)
    zone.server.add(domain, "MX", "1 smtp.google.com.")
    zone.spf("v=spf1 include:_spf.google.com -all", name=domain)
    report = look_at_domain(domain, provider="google-workspace")
    assert line(report, "DMARC").text == f"DMARC of {domain} is met by SPF (p={expected})."
    assert sum(question.name.startswith("_dmarc.") for question in zone.server.asked) <= 8


def test_a_share_of_the_policy_is_said(zone: Zone) -> None:
    zone.spf("v=spf1 -all").dmarc("v=DMARC1; p=reject; pct=20").mx()
    assert line(google(), "DMARC").text.endswith("So far that is for 20 % of them.")


def test_spf_does_not_help_a_mail_service_that_has_its_own_return_address(zone: Zone) -> None:
    zone.spf("v=spf1 include:sendgrid.net ~all").dmarc("v=DMARC1; p=reject").mx()
    zone.spf("v=spf1 ip4:198.51.100.0/24 ~all", name="sendgrid.net")
    report = look_at_domain("example.com", provider="sendgrid")
    assert spf(report)[0] == "good"
    assert line(report, "DMARC").standing == "advice"
    records.forget()
    zone.dkim(selector="s2")
    assert look_at_domain("example.com", provider="sendgrid").standing == "good"


# --- MX, and whether there is such a domain ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("MX", "0 .", "a null MX"),
        ("MX", "10 192.0.2.25.", "names 192.0.2.25, which is no server"),
        ("MX", "0 localhost.", "names localhost, which is no server"),
        ("A", "198.51.100.7", "go to its web server"),
        ("NS", "ns.test.net.", "cannot arrive"),
    ],
)
def test_a_domain_that_takes_no_mail_is_named(zone: Zone, kind: str, value: str, words: str) -> None:
    zone.spf("v=spf1 include:_spf.google.com -all").dkim().dmarc("v=DMARC1; p=none").server.add(
        "example.com", kind, value
    )
    found = line(google(), "MX")
    assert (found.standing, words in found.text) == ("advice", True)


def test_a_domain_that_does_not_exist_is_all_that_is_said(zone: Zone) -> None:
    zone.good()
    report = look_at_domain("exmaple.com", provider="gmail")
    assert [check.text for check in report.checks] == [
        "Your DNS server knows no domain exmaple.com: most servers refuse mails from it. Check its spelling."
    ]


def test_a_server_that_knows_its_own_network_alone_says_nothing_of_a_domain(nameserver: NameServer) -> None:
    nameserver.add("example.com", "MX", "10 mail.example.com.")
    nameserver.add("example.com", "TXT", txt("v=spf1 include:_spf.google.com -all"))
    report = google()
    assert [(check.standing, check.text) for check in report.checks] == [("unknown", report.checks[0].text)]
    assert report.checks[0].text.startswith("Your DNS server knows only names of its own network")


def test_gmail_means_google_workspace_where_the_domain_is_a_companys(zone: Zone) -> None:
    zone.good()
    assert look_at_domain("example.com", provider="gmail").provider == "Google Workspace"


# --- what cannot be looked up -----------------------------------------------------------------------------------------


def test_a_server_that_fails_is_never_taken_for_a_record_that_is_missing(zone: Zone) -> None:
    zone.server.trouble = "servfail"
    report = google()
    assert {check.standing for check in report.checks} == {"unknown"}
    assert spf(report)[1] == "SPF of example.com could not be looked up: Your DNS server cannot answer for example.com."
    assert report.letter == ""


def test_a_silent_server_holds_up_a_test_for_its_time_and_no_longer(zone: Zone) -> None:
    zone.server.trouble = "silence"
    began = time.monotonic()
    report = look_at_domain("example.com", provider="google-workspace", timeout=0.5)
    assert time.monotonic() - began < 5
    assert {check.standing for check in report.checks} == {"unknown"}
    assert "Your DNS server does not answer." in spf(report)[1]


@pytest.mark.parametrize("name", ["_spf.google.com", "google._domainkey.example.com", "_dmarc.example.com"])
def test_one_name_that_fails_leaves_the_others(zone: Zone, name: str) -> None:
    zone.good()
    zone.server.trouble_at[name] = "servfail"
    report = google()
    assert report.standing == "unknown"
    assert [str(check.standing) for check in report.checks].count("unknown") == 1
    assert len(report.checks) == 4


def test_aliases_in_a_circle_are_not_followed_for_ever(zone: Zone) -> None:
    zone.spf("v=spf1 include:_spf.google.com -all").dmarc("v=DMARC1; p=none").mx()
    zone.server.add("google._domainkey.example.com", "CNAME", "x.test.net.")
    zone.server.add("x.test.net", "CNAME", "google._domainkey.example.com.")
    assert line(google(), "DKIM").standing in {"unknown", "advice"}


# --- whose domain, whose account, which way ---------------------------------------------------------------------------


def test_nothing_is_looked_up_through_a_proxy(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    zone.good()
    monkeypatch.setenv("SOCKS5_PROXY", "socks5://127.0.0.1:1")
    for found in (look_at_sender(settings()), google()):
        assert found is not None
        assert [check.standing for check in found.checks] == ["unknown"]
        assert "SOCKS5_PROXY leads to the server" in found.checks[0].text
    assert zone.server.asked == []


@pytest.mark.parametrize(
    "sender",
    [
        settings("127.0.0.1"),
        settings("localhost"),
        settings("smtp.example.com", sender="me@corp.local"),
        settings("smtp.example.com", sender="me@localhost"),
        settings("smtp.example.com", sender="me@[198.51.100.1]"),
        docmail.Settings("Accounts", docmail.HttpServer("mail.example.com"), reply_to=("office@example.com",)),
    ],
)
def test_a_sender_of_this_computer_or_of_an_inner_network_is_skipped(zone: Zone, sender: docmail.Settings) -> None:
    assert look_at_sender(sender) is None
    assert zone.server.asked == []


def test_the_sandbox_is_skipped(zone: Zone) -> None:
    with docmail.Sandbox() as box:
        diagnosis = docmail.send_test(box.settings)
    assert diagnosis.ok
    assert diagnosis.domain is None
    assert zone.server.asked == []


def test_the_domain_of_the_provider_that_sends_needs_no_look(zone: Zone) -> None:
    report = look_at_sender(settings(sender="anna@gmail.com"))
    assert report is not None
    assert report.standing == "good"
    assert zone.server.asked == []


def test_an_address_of_another_provider_is_advised_against_whatever_its_policy(zone: Zone) -> None:
    zone.server.add("_dmarc.yahoo.com", "TXT", txt("v=DMARC1; p=reject"))
    report = look_at_sender(settings("smtp.sendgrid.net", sender="anna@yahoo.com", username="apikey"))
    assert report is not None
    assert [str(check.standing) for check in report.checks] == ["advice", "advice"]
    assert "Send through Yahoo Mail, or from an address of a domain of your own." in report.checks[0].text
    assert "refused (p=reject)" in report.checks[1].text
    assert report.letter == ""  # nobody here can change Yahoo's records


def test_a_personal_account_does_not_confirm_a_companys_mails(zone: Zone) -> None:
    zone.good()
    report = look_at_sender(settings(username="anna@gmail.com"))
    assert report is not None
    assert report.checks[0].text.startswith("You sign in with a personal account of Gmail")
    assert "refused (p=reject)" in line(report, "DMARC").text


def test_the_provider_is_that_of_the_server_of_the_settings(zone: Zone) -> None:
    zone.good()
    report = look_at_sender(settings())
    assert report is not None
    assert (report.domain, report.provider, report.standing) == ("example.com", "Google Workspace", "good")


def test_without_a_provider_it_is_the_one_that_receives(zone: Zone) -> None:
    zone.good()
    assert look_at_domain("Accounts <a@EXAMPLE.com>").provider == "Google Workspace"


@pytest.mark.parametrize("text", ["", "localhost", "192.0.2.1", "corp.local", "[2001:db8::1]", "exa mple.com"])
def test_only_a_public_domain_is_looked_at(zone: Zone, text: str) -> None:
    with pytest.raises(AddressError):
        look_at_domain(text)
    assert zone.server.asked == []


def test_who_stops_a_test_waits_for_no_name_server(zone: Zone) -> None:
    zone.server.trouble = "silence"
    began = time.monotonic()
    report = look_at_sender(settings(), stopped=lambda: True)
    assert report is not None
    assert {check.standing for check in report.checks} == {"unknown"}
    assert time.monotonic() - began < 1


def test_a_foreign_record_is_shown_without_its_control_characters(zone: Zone) -> None:
    zone.server.add("example.com", "TXT", r'"v=spf1 \027[31m\010 -all"')
    zone.dkim().dmarc("v=DMARC1; p=none").mx()
    report = google()
    assert all(check.text.isprintable() for check in report.checks)
    assert "\x1b" not in report.letter


# --- beside the test email --------------------------------------------------------------------------------------------


def seen_by_the_test(monkeypatch: pytest.MonkeyPatch, report: DomainReport | None) -> list[Any]:
    """Let the test email find this, and return what it looked with."""
    asked: list[Any] = []

    def look(settings: docmail.Settings, *, stopped: Any) -> DomainReport | None:
        asked.append((settings, stopped))
        return report

    monkeypatch.setattr("docmail.diagnosis.domain.look_at_sender", look)
    return asked


BAD = DomainReport("example.com", "Gmail", (DomainCheck(Subject.SPF, Standing.ADVICE, "No SPF.", "Publish one."),))


def test_what_is_wrong_with_a_domain_is_no_failure_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    seen_by_the_test(monkeypatch, BAD)
    with docmail.Sandbox() as box:
        diagnosis = docmail.send_test(box.settings)
    assert (diagnosis.ok, diagnosis.failed, diagnosis.domain) == (True, None, BAD)
    assert repr(diagnosis) == "<Diagnosis ok, 11 checks>"


def test_a_test_that_fails_looks_at_no_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = seen_by_the_test(monkeypatch, BAD)
    with docmail.Sandbox(failing="gmail-app-password") as box:
        diagnosis = docmail.send_test(box.settings)
    assert (diagnosis.ok, diagnosis.domain, asked) == (False, None, [])


def test_stop_ends_the_look_and_leaves_the_test_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = seen_by_the_test(monkeypatch, BAD)
    held: list[Any] = []

    def hold(what: Any) -> None:
        held.append(what)
        if len(held) > 1:  # the transport came first
            assert not what.in_doubt
            what.abort()

    with docmail.Sandbox() as box:
        diagnosis = diagnose(box.settings, hold=hold)
    [(_settings, stopped)] = asked
    assert stopped()
    assert (diagnosis.ok, diagnosis.domain) == (True, None)


def test_the_form_shows_the_lines_below_its_success_with_the_letter_to_copy() -> None:
    checks = (Check("data", True, "taken", 0.1),)  # noqa: FBT003
    shown = report.sent(Diagnosis(checks, BAD), settings(), saved=True)
    assert (shown.kind, shown.opened) == ("good", True)
    assert "No SPF." in shown.details
    assert "1. Publish one." in shown.details
    assert "dm-copy" in shown.details
    calm = DomainReport("example.com", "Gmail", (DomainCheck(Subject.SPF, Standing.GOOD, "Fine."),))
    shown = report.sent(Diagnosis(checks, calm), settings(), saved=True)
    assert (shown.opened, "Fine." in shown.details, "dm-copy" in shown.details) == (False, True, False)


# --- at the command line ----------------------------------------------------------------------------------------------


def test_the_command_says_how_a_domain_stands_and_what_to_change(
    zone: Zone, capsys: pytest.CaptureFixture[str]
) -> None:
    zone.good(spf="v=spf1 mx -all")
    assert main(["domain", "example.com", "--provider", "google-workspace"]) == 1
    said = capsys.readouterr().out
    assert said.startswith(
        "Mails of example.com, sent through Google Workspace:\nCHANGE SPF        SPF of example.com forbids"
    )
    assert "\n   v=spf1 mx include:_spf.google.com -all\n" in said


def test_the_commands_exit_status_is_0_if_all_is_well_and_3_if_nobody_knows(
    zone: Zone, capsys: pytest.CaptureFixture[str]
) -> None:
    zone.good()
    assert main(["domain", "example.com"]) == 0
    assert "--provider or --host names who sends" in capsys.readouterr().out
    zone.server.trouble = "servfail"
    records.forget()
    assert main(["domain", "example.com", "--provider", "gmail"]) == 3
    assert "could not be looked up" in capsys.readouterr().out


def test_the_command_refuses_what_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["domain", "example.com", "--provider", "gmial"]) == 1
    assert "Choose one of: Gmail" in capsys.readouterr().err


# --- any record -------------------------------------------------------------------------------------------------------

WORD = st.one_of(
    st.sampled_from(["mx", "a", "-all", "~all", "+all", "ptr", "include:_spf.google.com", "redirect=_spf.google.com"]),
    st.sampled_from(["include:example.com", "exists:%{i}.test.net", "ip4:192.0.2.0/24", "ip6:::/0", "a:x/33", "ip4:"]),
    st.text("".join(map(chr, range(33, 127))), max_size=12),
)


@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(WORD, max_size=8), st.lists(WORD, max_size=4))
def test_no_record_makes_a_look_fail_and_no_advice_breaks_one(words: list[str], others: list[str]) -> None:
    record, other = (" ".join(["v=spf1", *each]) for each in (words, others))
    after = spf_terms.with_entries(record, ["include:_spf.google.com"])
    assert [word for word in after.split() if word != "include:_spf.google.com"] == [
        word for word in record.split() if word.lstrip("?~-") != "include:_spf.google.com"
    ]
    one = spf_terms.merged([record, other])
    if one:  # it can be read, and says what both said
        before = {
            term.text.lower() for each in (record, other) for term in spf_terms.terms_of(each) if term.name != "all"
        }
        assert {term.text.lower() for term in spf_terms.terms_of(one) if term.name != "all"} == before
    judged = judge(
        cast("LookUps", Known({"example.com": record, "_spf.google.com": GOOGLE})),
        "example.com",
        Senders(("_spf.google.com",)),
    )
    assert judged.look_ups <= 31


class Known:
    """A look-up among records that a test has."""

    def __init__(self, texts: dict[str, str]) -> None:
        self._texts = texts

    def texts(self, name: str, begin: str) -> list[str]:
        """Return the one record of a name."""
        return [self._texts[name]] if name in self._texts and begin == spf_terms.VERSION else []

    def of(self, name: str, kind: str) -> records.Records:
        """Return no records of any other kind."""
        return records.Records((), exists=bool(name and kind))


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    yield
    records.forget()
