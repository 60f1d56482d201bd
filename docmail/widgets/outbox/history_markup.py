"""The record of mail in HTML: the table, a mail opened in it, and the questions about it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from docmail.language import _, ngettext
from docmail.outbox import missing
from docmail.widgets.mail import result
from docmail.widgets.parts import markup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from docmail.outbox import Page, Row

PERIODS = {"": 0, "1": 1, "7": 7, "30": 30, "365": 365}
"""The choices of "When", and how many days each goes back; today is one."""

_NAMED = 2  # recipients in the table; all stand in the mail that is opened


def states() -> dict[str, str]:
    """Return the states of a mail in words, in the order of a mail's life."""
    return {
        "queued": _("waiting"),
        "sending": _("being sent"),
        "sent": _("sent"),
        "refused": _("refused"),
        "failed": _("not sent"),
        "unknown": _("unknown"),
    }


def counted(counts: Mapping[str, int]) -> str:
    """Return how many mails are in each state."""
    return " · ".join(f"{counts[state]:,} {word}" for state, word in states().items() if counts.get(state))


def button(action: str, label: str, which: object = "", *, style: str = "jupyter-button widget-button") -> str:
    """Return a button; one that sends something counts only after it can have been read."""
    careful = " data-careful" if action in {"send", "arrived", "keep-days"} else ""
    return (
        f'<button type="button" class="{style}" data-press="{action}" data-id="{escape(str(which))}"{careful}>'
        f"{escape(label)}</button>"
    )


def filters(values: Mapping[str, str]) -> str:
    """Return the fields by which the table is narrowed down."""

    def text(name: str, label: str, example: str) -> str:
        return (
            f'<label>{escape(label)}<input type="text" data-name="{name}" data-live spellcheck="false"'
            f' value="{escape(values.get(name, ""))}" placeholder="{escape(example)}"></label>'
        )

    def menu(name: str, label: str, choices: Mapping[str, str]) -> str:
        options = "".join(
            f'<option value="{value}"{" selected" if value == values.get(name, "") else ""}>{escape(words)}</option>'
            for value, words in choices.items()
        )
        return f'<label>{escape(label)}<select data-name="{name}" data-live>{options}</select></label>'

    times = (_("any time"), _("today"), _("the last 7 days"), _("the last 30 days"), _("the last year"))
    return (
        f'<div class="dm-filters" role="search" aria-label="{escape(_("Filter the outbox"))}">'
        + text("who", _("Who"), _("address or user"))
        + text("what", _("What"), _("subject or document"))
        + menu("when", _("When"), dict(zip(PERIODS, times, strict=True)))
        + menu("state", _("State"), {"": _("all"), **states()})
        + text("reply", _("Server's reply"), _("code or words"))
        + "</div>"
    )


def table(page: Page, begin: int, opened: int | None, detail: str, *, filtered: bool) -> str:
    """Return a page of mails, one of them opened."""
    if not page.total:
        sentence = _("No mail fits this filter.") if filtered else _("No mail has been sent from here yet.")
        return markup.paragraph(sentence)
    columns = (
        ("what", _("What")),
        ("who", _("To")),
        ("when", _("When")),
        ("state", _("State")),
        ("reply", _("Server's reply")),
    )
    head = "".join(f'<th scope="col" class="dm-column-{name}">{escape(title)}</th>' for name, title in columns)
    body = "".join(_line(row, detail if row.id == opened else None) for row in page.rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{_pager(page, begin)}"


def _line(row: Row, detail: str | None) -> str:
    to = markup.listed(row.to, _NAMED)
    open_ = detail is not None
    subject = escape(row.subject or _("(no subject)"))
    opener = (
        f'<button type="button" class="dm-link" data-press="open" data-id="{row.id}"'
        f' aria-expanded="{"true" if open_ else "false"}">{subject}</button>'
    )
    reply, when = _words(row), markup.when(row.sent_at or row.created)
    cells = (
        f"<td>{opener}</td>"
        f'<td class="dm-cell-who" title="{escape(", ".join(row.to))}">{escape(to)}</td>'
        f'<td class="dm-cell-when" title="{escape(when)}">{escape(when)}</td>'
        f"<td>{_state(row.state, partly=_partly(row))}</td>"
        f'<td class="dm-cell-reply" title="{escape(reply)}">{escape(reply)}</td>'
    )
    line = f'<tr data-press="open" data-id="{row.id}"{" class=dm-open" if open_ else ""}>{cells}</tr>'
    return line + (f'<tr class="dm-opened"><td colspan="5">{detail}</td></tr>' if open_ else "")


def _partly(row: Row) -> bool:
    """Say whether somebody has not got a mail that was sent."""
    return row.state == "sent" and any(
        each.state != "sent" and each.role != "archive" for each in row.recipients.values()
    )


def _state(state: str, *, partly: bool = False) -> str:
    signs = {"sent": "✓ ", "refused": "✗ ", "failed": "✗ ", "unknown": "? "}
    word = _("partly sent") if partly else states()[state]
    return f'<span class="dm-state-{"unknown" if partly else state}">{signs.get(state, "")}{escape(word)}</span>'


def _words(row: Row) -> str:
    """Return what the server said, or why the mail did not get as far as a server."""
    if row.reply is not None:
        return result.words(row.reply)
    # Its reason is that of the doubt which a person has settled since.
    return _("noted: it arrived") if row.state == "sent" and row.reason else row.reason


def _pager(page: Page, begin: int) -> str:
    end = begin + len(page.rows)
    said = _("{first} to {last} of {total}").format(first=f"{begin + 1:,}", last=f"{end:,}", total=f"{page.total:,}")
    if end - begin == page.total:
        return f'<div class="dm-pager dm-facts" role="status">{escape(said)}</div>'

    def turn(action: str, sign: str, title: str, *, off: bool) -> str:
        return (
            f'<button type="button" class="jupyter-button widget-button" data-press="{action}"'
            f' title="{escape(title)}" aria-label="{escape(title)}"{" disabled" if off else ""}>{sign}</button>'
        )

    return (
        f'<div class="dm-pager" data-arrows="newer older" role="group" aria-label="{escape(_("Pages"))}">'
        + turn("newer", "&lsaquo;", _("Newer mails"), off=begin == 0)
        + f'<span class="dm-facts" role="status">{escape(said)}</span>'
        + turn("older", "&rsaquo;", _("Older mails"), off=end >= page.total)
        + "</div>"
    )


def detail(row: Row, text: str, *, asks: str, said: str) -> str:
    """Return a mail that is opened: what became of it for each recipient, its text and documents, what can be done."""
    parts = [_recipients(row)]
    facts = [
        _("from {sender}").format(sender=row.sender),
        *([_("by {user}").format(user=row.user)] if row.user else []),
        *([_("batch {name}").format(name=row.batch)] if row.batch else []),
        *([_("key {key}").format(key=row.key)] if row.key else []),
    ]
    parts.append(f'<div class="dm-facts dm-said-about">{escape(" · ".join(facts))}</div>')
    if row.reason and row.state != "sent":
        parts.append(f'<div class="dm-said-about">{escape(row.reason)}</div>')
    if text:
        # It may be long enough to be scrolled, which the keyboard must be able to do as well.
        label = _("Text of the mail")
        scrolled = f'<div class="dm-said dm-text" tabindex="0" role="group" aria-label="{escape(label)}">'
        parts.append(markup.folded(label, f"{scrolled}{escape(text)}</div>"))
    parts += [
        f'<div class="dm-links dm-document"><span>▣ {escape(name)}</span>'
        + button("document", _("Show"), f"{row.id}/{position}", style="dm-link")
        + button("download", _("Download"), f"{row.id}/{position}", style="dm-link")
        + "</div>"
        for position, name in enumerate(row.documents)
    ]
    if row.state == "unknown":
        question = _("It may have arrived: nobody knows. Ask the recipient, or look into your Sent folder.")
        parts.append(f'<div class="dm-question">{escape(question)}</div>')
    parts.append(f'<div class="dm-asked">{_question(row, asks) if asks else _offers(row)}</div>')
    return "".join(parts) + (f'<div role="status">{said}</div>' if said else "")


def _recipients(row: Row) -> str:
    roles: dict[str, Callable[[], str]] = {
        "to": lambda: _("To"),
        "cc": lambda: _("Cc"),
        "bcc": lambda: _("Bcc"),
        "archive": lambda: _("copy"),
    }
    lines = "".join(
        f'<tr><td class="dm-facts">{escape(roles[each.role]())}</td><td>{escape(address)}</td>'
        f"<td>{_state(each.state)}</td><td>{escape(result.words(each.reply) if each.reply else '')}</td></tr>"
        for address, each in row.recipients.items()
    )
    return f'<table class="dm-recipients"><tbody>{lines}</tbody></table>'


def _offers(row: Row) -> str:
    offers = []
    if row.state == "unknown":
        offers.append(button("arrived", _("It arrived"), row.id))
    if _partly(row):
        number = len(missing(row))
        label = ngettext("Send again to {number} without it…", "Send again to {number} without it…", number)
        offers.append(button("again", label.format(number=number), row.id))
        offers.append(button("everybody", _("Send again to everybody…"), row.id))
    elif row.state not in {"queued", "sending"}:
        offers.append(button("again", _("Send again…"), row.id))
    return "".join((*offers, button("eml", _("Save as .eml"), row.id)))


def _question(row: Row, asks: str) -> str:
    people = _again_to(row, everybody=asks == "everybody")
    question = ngettext(
        "Send it again now, to {number} recipient?", "Send it again now, to {number} recipients?", len(people)
    ).format(number=len(people))
    return (
        f'<span class="dm-question" role="status">{escape(question)}</span>'
        + button("send", _("Send again"), row.id, style="jupyter-button widget-button mod-primary")
        + button("keep", _("Cancel"), row.id)
    )


def _again_to(row: Row, *, everybody: bool) -> Sequence[str]:
    """Return who gets a mail that is sent again: those who have not got it, or everybody."""
    people = [address for address, each in row.recipients.items() if each.role != "archive"]
    return people if everybody else missing(row) or people


def days_question(days: int) -> str:
    """Return the question whether contents are to be removed now."""
    question = ngettext(
        "The contents of mails older than {number} day are removed now, and do not come back.",
        "The contents of mails older than {number} days are removed now, and do not come back.",
        days,
    ).format(number=days)
    return (
        f'<div class="dm-foot"><span class="dm-question" role="status">{escape(question)}</span>'
        + button("keep-days", _("Remove them"), days)
        + button("leave-days", _("Cancel"))
        + "</div>"
    )


def foot(days: float, *, changeable: bool, said: str = "") -> str:
    """Return how long contents are kept, and where that is changed."""
    shown = f"{days:g}"
    if changeable:
        before, _sign, after = _("Contents are kept {days} days, the record stays.").partition("{days}")
        keeping = (
            f"<span>{escape(before)}"
            f'<input type="text" inputmode="numeric" data-name="days" data-enter="days" value="{shown}"'
            f' aria-label="{escape(_("Days"))}">{escape(after)}</span>' + button("days", _("Change"))
        )
    else:
        keeping = f"<span>{escape(_('Contents are kept {days} days, the record stays.').format(days=shown))}</span>"
    said = f'<span role="status">{said}</span>' if said else ""
    refresh = button("refresh", _("Look again"), style="dm-link")
    return f'<div class="dm-foot">{keeping}{said}{refresh}</div>'
