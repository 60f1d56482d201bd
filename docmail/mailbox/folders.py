"""Which folder of a mailbox is that for sent mails, and which that for drafts: by special use, then by name."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# What mail programs and providers call it, in the languages in which servers make it without a special use.
_NAMES = {
    "sent": (
        *("Sent", "Sent Items", "Sent Messages", "Sent Mail", "Sent Objects"),
        *("Gestuur", "Gestuurde items", "Gesendet", "Gesendete Elemente", "Gesendete Objekte", "Gesendete Nachrichten"),
        *("Verzonden", "Verzonden items", "Verzonden berichten", "Éléments envoyés", "Envoyés", "Messages envoyés"),
        *("Enviados", "Elementos enviados", "Mensajes enviados", "Itens enviados", "Posta inviata", "Inviata"),
        *("Inviati", "Elementi inviati", "Skickat", "Skickade objekt", "Sendt", "Sendte elementer", "Sendt post"),
        *("Sendte meldinger", "Lähetetyt", "Lähetetyt kohteet", "Wysłane", "Elementy wysłane", "Odeslané"),
        *("Odeslaná pošta", "Elküldött elemek", "Elküldött", "Trimise", "Poslano", "Απεσταλμένα"),
        *(
            "Отправленные",
            "Надіслані",
            "Gönderilmiş Öğeler",
            "Gönderilmiş",
            "送信済みアイテム",
            "送信済み",
            "送信済みメール",
        ),
        *(
            "已发送邮件",
            "已发送",
            "寄件備份",
            "已傳送郵件",
            "已寄出",
            "보낸 편지함",
            "보낸메일함",
            "보낸메일",
            "送信箱",
        ),
        *("送信箱", "Courrier envoyé", "Courriers envoyés", "Correo enviado", "Enviado", "Enviadas"),
        *(
            "Mensagens enviadas",
            "E-mails enviados",
            "Enviats",
            "Elements enviats",
            "Bidalita",
            "Verstuurd",
            "Verstuurde items",
        ),
        *(
            "Sendir",
            "Odoslané",
            "Odoslaná pošta",
            "Poslané",
            "Poslane",
            "Poslana pošta",
            "Изпратени",
            "Отправлено",
            "Послато",
        ),
        *("Išsiųsta", "Išsiųsti", "Saadetud", "Nosūtītie", "Gönderilenler", "Terkirim", "Đã gửi"),
        *("פריטים שנשלחו", "נשלח", "נשלחו", "العناصر المرسلة", "البريد المرسل", "المرسلة", "ส่งแล้ว", "รายการที่ส่ง"),
    ),
    "drafts": (
        *("Drafts", "Draft", "Konsepte", "Entwürfe", "Concepten", "Brouillons", "Borradores", "Rascunhos", "Bozze"),
        *("Utkast", "Kladder", "Kladde", "Luonnokset", "Szkice", "Wersje robocze", "Koncepty", "Piszkozatok"),
        *("Черновики", "Чернетки", "Taslaklar", "下書き", "草稿", "草稿箱", "임시 보관함", "Πρόχειρα"),
    ),
}


def _plain(name: str) -> str:
    """Return a name as those above are compared: “sent_items” is one of them, and so is one in decomposed letters."""
    return unicodedata.normalize("NFC", name).casefold().replace("_", " ").replace("-", " ")


_PLACES = {_plain(name): (use, place) for use, names in _NAMES.items() for place, name in enumerate(names)}


@dataclass(frozen=True)
class Folder:
    """A folder as the server lists it: its whole name, what stands between names, and its attributes."""

    name: str
    delimiter: str
    attributes: frozenset[str]

    @property
    def levels(self) -> list[str]:
        """The names of the folders around it, and its own."""
        return self.name.split(self.delimiter) if self.delimiter else [self.name]

    @property
    def can_hold_mails(self) -> bool:
        """Whether a mail can be in it."""
        return self.attributes.isdisjoint({"\\noselect", "\\nonexistent"})


def folder_for(
    use: str, folders: Iterable[Folder], personal: Sequence[str] = (), others: Sequence[str] = ()
) -> str | None:
    """Return the folder for "sent" or "drafts"; None if there is none.

    `personal` are the beginnings of names of the user's own folders, and `others` those of other people's, whose folder
    for sent mails is not the user's.
    """
    own = [
        each
        for each in folders
        if each.can_hold_mails and not any(prefix and each.name.startswith(prefix) for prefix in others)
    ]
    marked = [each for each in own if f"\\{use}" in each.attributes]
    if marked:
        return min(marked, key=lambda each: len(each.levels)).name
    found = [(_place(each, use, personal), each.name) for each in own]
    known = [(place, name) for place, name in found if place is not None]
    return min(known)[1] if known else None


def _place(folder: Folder, use: str, personal: Sequence[str]) -> tuple[int, int] | None:
    """Return where a folder stands among those that its name makes likely; None for a name that says nothing.

    A folder deep in others, such as that of an archive, is not the one that mail programs use. Gmail has all of its own
    below one folder.
    """
    levels = folder.levels
    prefix = next(
        (each for each in sorted(personal, key=len, reverse=True) if each and folder.name.startswith(each)), ""
    )
    if prefix:
        levels = folder.name.removeprefix(prefix).split(folder.delimiter) if folder.delimiter else [folder.name]
    elif levels[0].upper() == "INBOX" or levels[0] in {"[Gmail]", "[Google Mail]"}:
        levels = levels[1:]
    named, place = _PLACES.get(_plain(levels[-1]), ("", 0)) if levels else ("", 0)
    return (len(folder.levels), place) if len(levels) == 1 and named == use else None
