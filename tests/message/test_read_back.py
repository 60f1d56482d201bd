"""What a person wrote is what another program reads: Nodemailer's mailparser, which shares no code with Python's."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

import docmail
from docmail.addresses import Address
from tests.support.requires import require_npm, require_program

SETTINGS = docmail.Settings("Accounts <accounts@example.com>", docmail.SmtpServer("smtp.example.com"))
SCRIPT = """
const { simpleParser } = require(process.argv[1]);
simpleParser(process.stdin).then(mail => console.log(JSON.stringify({
  from: mail.from.value, to: mail.to.value, cc: mail.cc ? mail.cc.value : [], subject: mail.subject, text: mail.text,
  html: mail.html, files: mail.attachments.map(each => [each.filename, each.contentType, each.content.toString("hex")]),
})));
"""


def read_back(message: docmail.Message, settings: docmail.Settings = SETTINGS) -> dict[str, Any]:
    """Return what mailparser reads of a mail as it is sent."""
    command = [require_program("node"), "-e", SCRIPT, str(require_npm("mailparser"))]
    content = b"".join(message.render(settings).wire())
    done = subprocess.run(command, input=content, check=True, stdout=subprocess.PIPE, timeout=60)
    mail: dict[str, Any] = json.loads(done.stdout)
    return mail


@pytest.mark.parametrize(
    "name",
    [
        "Société Générale d'Électricité de Genève SA",
        "Gesellschaft für Außenhandel und Überseeverkehr mit beschränkter Haftung & Co. KG, Zweigniederlassung Köln",
        "株式会社日本経済研究所国際部東京本社総務課経理担当",
        "Müller, Anna (Ein- und Verkauf)",
        'O"Brien \\ Sons',
    ],
)
def test_a_display_name_arrives_whole(name: str) -> None:
    person = Address(name, "cfo", "example.com")
    read = read_back(docmail.Message(person, "Q3", cc=Address(name, "ceo", "example.com")))
    assert [each["name"] for each in (*read["to"], *read["cc"])] == [name, name]
    sender = docmail.Settings(name.replace('"', "'"), docmail.SmtpServer("smtp.example.com", username="a@example.com"))
    assert read_back(docmail.Message("c@example.com", "Q3"), sender)["from"][0]["name"] == name.replace('"', "'")


@pytest.mark.parametrize(
    "subject",
    [
        "Invoice 2026-118",
        "Überfällige Rechnung für Société Générale d'Électricité de Genève: bitte bis zum 15. begleichen: danke 😀",
        "請求書" * 40,
        "a" * 300,
    ],
)
def test_a_subject_arrives_whole(subject: str) -> None:
    assert read_back(docmail.Message("c@example.com", subject))["subject"] == subject


def test_text_and_documents_arrive_as_they_were() -> None:
    names = ["Übersicht für 2026.pdf", "a;b, 'c'.pdf", "発行済み請求書" * 10 + ".pdf"]
    contents = [b"%PDF-1.4\n1 0 obj\n%%EOF\n" + bytes([each]) * 1000 for each in range(3)]
    documents = [docmail.Document.of(each, name=name) for name, each in zip(names, contents, strict=True)]
    text = "Dear Ms Dube,\n\n- 1 < 2 & 3\n- ä ö ü ß € 😀\n\n.hidden dot\n\nFrom here on"
    read = read_back(docmail.Message("c@example.com", "Q3", text, documents))
    assert read["files"] == [
        [document.name, "application/pdf", each.hex()] for document, each in zip(documents, contents, strict=True)
    ]
    for line in ("1 < 2 & 3", "ä ö ü ß € 😀", ".hidden dot", "From here on"):
        assert line in read["text"]
    assert "<li>1 &lt; 2 &amp; 3</li>" in read["html"]
