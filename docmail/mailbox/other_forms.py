"""Reads reports of servers that follow no standard: a sentence, an address, and what another server said.

What they have in common is read here; `flufl.bounce` knows the forms of many servers besides.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from email import message_from_bytes
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from docmail.mailbox.pieces import Part

_MOST_TEXT = 32_000  # characters before the copy of the mail
_MOST_LINES = 800
_MOST_LINE = 1_000  # characters
_MOST = 200  # recipients
_CONTEXT = 12  # lines about one recipient

_SERVERS = re.compile(
    r"mailer[-_. ]?daemon|mail[-_ ]?daemon|mdaemon|postmaster|mail delivery|delivery (system|subsystem)|mail system"
    r"|system administrator|microsoftexchange",
    re.IGNORECASE,
)
_ANSWERS = ("x-autoreply", "x-autorespond", "x-autoresponse", "x-auto-reply", "x-vacation", "x-mail-autoreply")
# The subject of a person's answer, in the languages of mail programs; a server's begins with words of its own.
_ANSWERED = re.compile(r"\s*(re|aw|antw(ort)?|sv|vs|rv|ris|res|rif|odp|ynt)\s*(\[\d{1,3}\])?\s*:", re.IGNORECASE)
# Where the copy of the mail begins.
_COPY = re.compile(
    r"^[-=_* \t]*(this is a copy|below this line|(here is )?(the|your)? ?(original|returned) (mail|message)(?! was )"
    r"|(the )?header of the original|copy of (the|your) message|forwarded message|-+ ?original message"
    r"|begin of quoted|message header|(the )?headers? of (the|your) (original )?message|ursprüngliche nachricht)",
    re.IGNORECASE,
)
_HEADER_OF_COPY = re.compile(r"^(Return-Path|Received|DKIM-Signature|MIME-Version):", re.IGNORECASE)
_ID_OF_COPY = re.compile(r"^[ \t>]*Message-ID[ \t]*:", re.IGNORECASE | re.MULTILINE)
_OTHER_FIELD = re.compile(r"\s*(Message-ID|From|Sender|Reply-To):", re.IGNORECASE)
_ADDRESS = re.compile(r"(?<![\w.@+-])[\w!#$%&'*+/=?^`{|}~.-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_FAILED = re.compile(
    r"(?<![\d.])[45]\d\d(?![\d.]*\d)|(?<![\d.])[45]\.\d{1,3}\.\d{1,3}|error|fail|unknown|invalid|no such|not found"
    r"|does(n't| not) exist|reject|refused|quota|full|undeliver|unable to|could ?n[o']t|cannot|timed? ?out"
    r"|not reachable|not (been )?delivered|not listed|no hosts? found|does ?n[o']t like"
    # German, French, Spanish, Italian, Portuguese, Dutch and Afrikaans, Japanese, Chinese, Korean
    r"|unzustellbar|nicht (zugestellt|übermittelt|gefunden)|unbekannt|existiert nicht|nicht erreichbar|abgelehnt"
    r"|n.a pas pu|n.ont pas pu|n.existe pas|inexistant|introuvable|inconnu|échec|échoué|refusé"
    r"|no (se )?(ha )?(pudo|podido|existe)|rechazad|desconocid|non (esiste|è stato possibile)|impossibile|inesistente"
    r"|sconosciut|não (existe|foi|pôde)|recusad|desconhecid|kon niet|niet (bezorgd|afgeleverd)|bestaat niet|onbekend"
    r"|kon nie|nie (afgelewer|bestel)|bestaan nie|geweier"
    r"|でき(ません|なかった)|届けられ|見つかりません|存在しません|不明|拒否"
    r"|退信|退回|不存在|无法|無法|失败|失敗|拒[绝絕]|못했|없습니다|실패"
    # Scandinavian languages, Finnish, Polish, Czech and Slovak, Hungarian, Romanian, Russian and Ukrainian, Turkish
    r"|kunde inte|okänd|finns inte|kunne ikke|ukendt|ukjent|fin[dn]es ikke|ei voitu|tuntematon|ei ole olemassa"
    r"|niedostarcz|nie (mogł|może|można|udało|został|istnieje)|nieznan|nelze doručit|nedoručen|neexistuje|neznám"
    r"|nepodařilo|nepodarilo|nem (sikerült|létezik|kézbesít)|kézbesíthetetlen|ismeretlen|nu a (putut|fost)|nu există"
    r"|necunoscut|не (может быть|удалось|найден|существует|доставлен)|недоставлен|неизвестн|отклонен"
    r"|не (вдалося|знайден|існує)|невідом|teslim edilem|bulunamad|bilinmeyen|reddedildi",
    re.IGNORECASE,
)
_DELAYED = re.compile(
    r"warning message only|not yet been delivered|still (being )?(retr|try)"
    r"|will (be|keep|continue)[^.]{0,30}(retr|try)"
    r"|delivery (has been |is |was )?delayed|temporarily delayed|do not need to resend"
    r"|noch nicht zugestellt|verzögert|retardé|pas encore (été )?(remis|distribué)|retrasad|aún no|in ritardo"
    r"|vertraagd?\b|nog nie|ännu inte|fördröj|försenad|end?nu ikke|ennå ikke|forsinke[dt]|viivästy|jeszcze nie"
    r"|opóźni|zatím ne|zpožd|késedelm|még nem|întârzi|ещ[её] не|задерж|ще не|затрим|henüz|gecik"
    r"|遅延|延迟|延遲",
    re.IGNORECASE,
)
# `flufl.bounce` takes what a spam filter has blocked for a warning.
_FOR_GOOD = re.compile(r"(?<![\d.])5\d\d(?![\d.]*\d)|(?<![\d.])5\.\d{1,3}\.|not been delivered|blocked", re.IGNORECASE)


@dataclass(frozen=True)
class Failure:
    """One recipient who has not got a mail, and the text about it."""

    recipient: str
    text: str
    is_delayed: bool


def failures_in(mail: Part, parts: list[Part]) -> list[Failure]:
    """Return the recipients whom a report without a standard names; none if the mail is no report of a server."""
    named = [
        address for value in mail.fields.get("x-failed-recipients", ())[:20] for address in _ADDRESS.findall(value)
    ]
    if not named and (not _SERVERS.search(mail.first("from")[:300]) or _is_an_answer(mail)):
        return []
    lines = [*_report_lines(parts)]
    text = "\n".join(lines)
    delayed = not named and bool(_DELAYED.search(text))
    mine = {address.lower() for address in _ADDRESS.findall(" ".join((mail.first("to"), mail.first("from")))[:2000])}
    about = _contexts(lines, mine)
    temporary, permanent = ([], []) if named else _known_forms(mail, lines, about)
    everybody = (
        named or [*permanent, *temporary] or [address for address, said in about.items() if _FAILED.search(said)]
    )
    if not everybody and len(about) == 1 and _returns_a_copy(parts) and (delayed or _FAILED.search(text)):
        everybody = [*about]  # the sentence stands before the address
    found: dict[str, Failure] = {}
    order = [*about]
    everybody.sort(key=lambda address: order.index(address.lower()) if address.lower() in about else len(order))
    for address in everybody[:_MOST]:
        said = about.get(address.lower()) or text[:_MOST_LINE]
        is_delayed = delayed or (address in temporary and address not in permanent and not _FOR_GOOD.search(text))
        found.setdefault(address.lower(), Failure(address, said, is_delayed))
    return [*found.values()]


def _is_an_answer(mail: Part) -> bool:
    """Say whether a person answered, or a program for one: out of office, and the like."""
    precedence = mail.first("precedence").lower()
    return (
        any(name in mail.fields for name in _ANSWERS)
        or "reply" in precedence
        or "vacation" in str(mail.first("auto-submitted").lower())
        or ("in-reply-to" in mail.fields and bool(_ANSWERED.match(mail.first("subject")[:40])))
    )


def _returns_a_copy(parts: list[Part]) -> bool:
    return any(
        part.embedded is not None or (part.kind.startswith("text/") and _ID_OF_COPY.search(part.text)) for part in parts
    )


def _report_lines(parts: list[Part]) -> Iterator[str]:
    """Yield the lines of the report, without the copy of the mail that it returns."""
    texts = [part for part in parts if part.kind == "text/plain"] or [
        part for part in parts if part.kind == "text/html"
    ]
    number = size = 0
    for part in texts[:4]:
        text = part.text
        if part.kind == "text/html":
            text = re.sub(r"(?i)<(br|/p|/div|/td|/tr|/li|/h\d)\b[^<>]{0,200}>", "\n", text)
            text = re.sub(r"&lt;|&gt;|&nbsp;", " ", re.sub(r"<[^<>]{0,500}>", " ", text))
        for line in text[:_MOST_TEXT].splitlines():
            if _COPY.match(line.strip()[:200]) or _HEADER_OF_COPY.match(line):
                break
            number, size = number + 1, size + len(line)
            if number > _MOST_LINES or size > _MOST_TEXT:
                return
            yield line[:_MOST_LINE].rstrip()


def _contexts(lines: list[str], mine: set[str]) -> dict[str, str]:
    """Return the addresses in a report, in small letters, each with the lines about it."""
    places = [
        (place, address.lower())
        for place, line in enumerate(lines)
        for address in dict.fromkeys(_ADDRESS.findall(line))
        if not _OTHER_FIELD.match(line) and address.lower() not in mine and not _SERVERS.search(address)
    ]
    found: dict[str, str] = {}
    for number, (place, address) in enumerate(places[:_MOST]):
        if address in found:
            continue
        # Up to the line with the next address.
        end = next((other for other, name in places[number + 1 :] if name != address and other > place), len(lines))
        found[address] = "\n".join(lines[place : min(end, place + _CONTEXT)])
    return found


def _known_forms(mail: Part, lines: list[str], about: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return who of those in a report `flufl.bounce` takes for recipients: for now, and for good."""
    try:
        from flufl.bounce import all_failures
    except ImportError:  # comes with the mailbox, as what reads it
        return [], []
    head = "".join(
        f"{name}: {value[:_MOST_LINE]}\n"
        for name in ("from", "to", "subject", "x-mailer")
        for value in mail.fields.get(name, ())[:1]
    )
    # A plain text of bounded size, put together anew: what it makes of anything else is not for foreign mail.
    built = message_from_bytes(f"{head}\n".encode() + "\n".join(lines).encode("ascii", "replace"))
    try:
        logging.getLogger("flufl.bounce").propagate = False  # it writes a line for each form that it tries
        temporary, permanent = all_failures(built)
    except Exception:  # noqa: BLE001 - a form that it takes for another
        return [], []
    for_now, for_good = (
        [each for octets in sorted(found) if (each := octets.decode("ascii", "replace")).lower() in about]
        for found in (temporary, permanent)
    )
    return for_now, for_good
