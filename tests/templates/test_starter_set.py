from __future__ import annotations

from collections import Counter

import pytest

from docmail import templates
from docmail.language import language
from docmail.templates import Template, starter_for, starters

KINDS = ["invoice", "quote", "statement", "receipt", "reminder", "payslip", "report"]


@pytest.mark.parametrize("code", ["en", "af"])
def test_each_kind_has_a_template_to_begin_with_in_each_language(code: str) -> None:
    assert [each.kind for each in starters(code)] == KINDS


def test_their_names_are_different_in_all_languages() -> None:
    assert max(Counter(each.name for each in starters()).values()) == 1


@pytest.mark.parametrize("starter", starters(), ids=lambda each: each.name)
@pytest.mark.parametrize("name", ["Chris Example", None])
def test_they_are_filled_in_from_the_mail_form_s_own_fields(starter: templates.Starter, name: str | None) -> None:
    """Also for an address without a name."""
    known = {"document": "Faktuur 118", "name": name, "sender": "Accounts"}
    subject = templates.fill(starter.subject, known, field="subject")
    body = templates.fill(starter.body, known, markdown=True)
    assert subject.endswith("Faktuur 118")
    assert "Faktuur 118" in body
    assert body.splitlines()[0].startswith(("Dear", "Geagte", "Beste"))
    assert (name or "") in body
    assert body.endswith("Accounts")


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Invoice 2026-118", "invoice"),
        ("invoice_118_acme", "invoice"),
        ("Invoice118", "invoice"),
        ("2026-118 Invoice", "invoice"),
        ("Tax Invoice No 7", "invoice"),
        ("Invoice", "invoice"),
        ("Invoice Smith & Co 2026-118", "invoice"),
        ("INV-118", "invoice"),
        ("inv 2026/00118", "invoice"),
        ("Faktuur 118", "faktuur"),
        ("Belastingfaktuur 118", "faktuur"),
        ("Quotation Q-2026-7", "quote"),
        ("Kwotasie 7", "kwotasie"),
        ("October statement", "statement"),
        ("Statement of account 2026-10", "statement"),
        ("Rekeningstaat Oktober", "staat"),
        ("Receipt 12", "receipt"),
        ("Kwitansie 12", "kwitansie"),
        ("Payment reminder 2026-118", "reminder"),
        ("Aanmaning 3", "herinnering"),
        ("Payslip Anna Meyer", "payslip"),
        ("Betaalstrokie November 2026", "betaalstrokie"),
        ("Q3 report", "report"),
        ("Sales report, third quarter", "report"),
        ("Verslag oor September", "verslag"),
    ],
)
def test_a_title_that_names_a_kind_finds_its_template_in_its_language(title: str, name: str) -> None:
    found = starter_for(title)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize(
    "title",
    [
        *("", "Q3", "118", "table", "document", "Sales by region", "דוח 118", "発票 118", "Rechnung 118"),
        *("Invoices 2026", "Invoice list 2026", "Invoice template", "Unpaid invoice 2026", "invoice_ageing_2026"),
        *("Statement of work 12", "Income statement 2026", "Cash flow statement Q3 2026", "Statement of facts 3"),
        *("Mission statement", "Bank statement October 2026", "Statement of the problem 2026"),
        *("Quote of the day 12", "Quotes 2026", "Receipts October", "Fakture 2026"),
        *("Invoice report 2026", "Report on invoices 2026", "Invoice and receipt 118", "Reminder: invoice 118"),
        *("Inventory 118", "Invoicing 2026", "INV", "INVEST 2026"),
        *("Unquoted 12", "Reportage 12", "Payslip template", "Police state 12", "Reminders"),
    ],
)
def test_a_title_that_leaves_a_doubt_finds_none(title: str) -> None:
    found = starter_for(title)
    assert found is None, found.name if found else ""


def test_a_code_has_no_language_and_takes_the_reader_s() -> None:
    for code, name in (("en", "invoice"), ("af", "faktuur")):
        with language(code):
            found = starter_for("INV-118")
        assert found is not None
        assert found.name == name


def test_a_template_of_one_s_own_takes_the_place_of_one_to_begin_with() -> None:
    assert templates.load("invoice").subject == "{{ document }}"
    templates.save(Template("invoice", "Ours", "Attached."))
    assert templates.load("invoice") == Template("invoice", "Ours", "Attached.")
    assert templates.names() == ("invoice",), "those to begin with are not kept"
    templates.forget("invoice")
    assert templates.load("invoice").subject == "{{ document }}"
