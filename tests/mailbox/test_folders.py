"""Which folder is that for sent mails: by special use, then by the names that servers and programs give it."""

from __future__ import annotations

import pytest

from docmail.mailbox.folders import Folder, folder_for


def folders(*names: str, delimiter: str = "/", **marked: str) -> list[Folder]:
    plain = [Folder(name, delimiter, frozenset()) for name in names]
    return [*plain, *(Folder(name, delimiter, frozenset({f"\\{use}"})) for use, name in marked.items())]


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        (folders("INBOX", "Sent", sent="Verstuur"), "Verstuur"),
        (folders("INBOX", "Sent"), "Sent"),
        (folders("INBOX", "sent items"), "sent items"),
        (folders("INBOX", "Gesendete Objekte"), "Gesendete Objekte"),
        (folders("INBOX", "Éléments envoyés"), "Éléments envoyés"),
        (folders("INBOX", "送信済みアイテム"), "送信済みアイテム"),
        (folders("INBOX", "INBOX.Sent", delimiter="."), "INBOX.Sent"),
        (folders("INBOX", "E\u0301le\u0301ments envoye\u0301s"), "E\u0301le\u0301ments envoye\u0301s"),
        (folders("INBOX", "sent_items"), "sent_items"),
        (folders("INBOX", "Sent-Mail"), "Sent-Mail"),
        (folders("INBOX", "INBOX.Odoslaná pošta", delimiter="."), "INBOX.Odoslaná pošta"),
        (folders("INBOX", "Gönderilenler"), "Gönderilenler"),
        (folders("INBOX", "العناصر المرسلة"), "العناصر المرسلة"),
        (folders("INBOX", "[Gmail]/Sent Mail"), "[Gmail]/Sent Mail"),
        (folders("INBOX", "[Google Mail]/Gesendet"), "[Google Mail]/Gesendet"),
        # That of an archive, or of a project, is not the one that mail programs use.
        (folders("INBOX", "Archive/2019/Sent"), None),
        (folders("INBOX", "Archive/Sent", "Sent"), "Sent"),
        (folders("INBOX", "Sent Items", "Sent"), "Sent"),
        (folders("INBOX", "Presents"), None),
        (folders(), None),
    ],
)
def test_the_folder_for_sent_mails_is_found(listed: list[Folder], found: str | None) -> None:
    assert folder_for("sent", listed) == found


def test_a_folder_that_holds_no_mails_is_none_for_copies() -> None:
    listed = [Folder("Sent", "/", frozenset({"\\noselect"})), Folder("Sent Items", "/", frozenset())]
    assert folder_for("sent", listed) == "Sent Items"


def test_other_peoples_folder_for_sent_mails_is_not_ones_own() -> None:
    listed = [
        Folder("shared/bob/Sent", "/", frozenset({"\\sent"})),
        Folder("Sent", "/", frozenset()),
    ]
    assert folder_for("sent", listed, [""], ["shared/"]) == "Sent"
    assert folder_for("sent", listed[:1], [""], ["shared/"]) is None


def test_a_prefix_of_ones_own_folders_is_no_level() -> None:
    listed = folders("Mail/Sent", "Mail/old/Sent")
    assert folder_for("sent", listed, ["Mail/"]) == "Mail/Sent"
    assert folder_for("sent", listed) is None


def test_drafts_have_a_folder_of_their_own() -> None:
    assert folder_for("drafts", folders("INBOX", "Entwürfe", "Sent")) == "Entwürfe"
    assert folder_for("drafts", folders("INBOX", "Drafts", drafts="Konsepte")) == "Konsepte"
    assert folder_for("drafts", folders("INBOX", "Sent")) is None
