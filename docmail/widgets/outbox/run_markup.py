"""What is said below a batch's bar, in HTML: the last mails, who was missed, the time that is left."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from markupsafe import Markup

from docmail.language import _, ngettext
from docmail.outbox import State, missed_by, reply_text, why_missed
from docmail.widgets.outbox.states import SIGNS, states
from docmail.widgets.parts import markup
from docmail.widgets.parts.markup import LINK, NOTHING, button, joined, tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from docmail.outbox import Happened, Row

_LONG = 160  # characters of a subject in a line


def last_mails(happened: Iterable[Happened], rows: Mapping[int, Row]) -> Markup:
    """Return what became of the last mails, the newest first, a line each; nothing if there was none yet."""
    names = states() | {State.QUEUED: _("will be tried again")}
    line = Markup(
        '<li><span class="{}" role="img" aria-label="{}" title="{}">{}</span><span class="dm-reply" title="{}">{}{}'
        "</span></li>"
    )
    lines = []
    for each in reversed(list(happened)):
        state = State(each.state)
        sign, style = SIGNS[state]
        row = rows.get(each.id)
        name = named(row) if row is not None else _("mail {number}").format(number=each.id)
        why = NOTHING if state == State.SENT else Markup(" — {}").format(_in_short(each, row))
        lines.append(line.format(style, names[state], names[state], sign, each.text, markup.isolated(name), why))
    if not lines:
        return NOTHING
    return tag("ol", joined(lines), class_="dm-last", aria_label=_("What became of the last ones, the newest first"))


def _in_short(each: Happened, row: Row | None) -> str:
    if row is not None and row.state == each.state and row.reply is not None:
        return reply_text(row.reply)
    return each.text


def named(row: Row) -> str:
    """Return by what a person knows a mail, without addresses: its key and its subject."""
    subject = markup.without_addresses(row.subject) or _("(no subject)")
    subject = subject if len(subject) <= _LONG else f"{subject[:_LONG]}…"
    key = row.key or ""
    # A key that is an address would be no name any more.
    return f"{key} · {subject}" if key and markup.without_addresses(key) == key != subject else subject


def why_unknown(row: Row) -> str:
    """Return why nobody knows whether a mail arrived, without addresses."""
    return markup.without_addresses(row.reason or (reply_text(row.reply) if row.reply else ""))


# --- who was missed ---


def missed(rows: Sequence[Row], number: int, corrected: int | None, editor: Markup, *, off: bool) -> Markup:
    """Return who has not got a mail, with what can be done; below the mail that is `corrected` stands the editor.

    `number` is how many mails there are in all, of which these are the first.
    """
    if not number:
        return NOTHING
    title = ngettext("{number} email did not reach everybody", "{number} emails did not reach everybody", number)
    heads = (_("Key"), _("Address"), _("Reason"), _("What to do"))
    head = joined(tag("th", each, scope="col") for each in heads)
    body = joined(_missed_mail(row, editor if row.id == corrected else NOTHING, off=off) for row in rows)
    label = title.format(number=f"{number:,}")
    table = tag("table", tag("thead", tag("tr", head)) + tag("tbody", body))
    parts = [
        tag("div", tag("b", label) + button("csv", _("Save as CSV")), class_="dm-missed-head"),
        markup.scrolled(table, label, "dm-missed-table"),
    ]
    if (more := number - len(rows)) > 0:
        said = ngettext(
            "and {number} more, which the CSV file has as well",
            "and {number} more, which the CSV file has as well",
            more,
        )
        parts.append(tag("div", said.format(number=f"{more:,}"), class_="dm-facts"))
    return tag("div", joined(parts), class_="dm-missed")


def late(rows: Sequence[Row]) -> Markup:
    """Return who has not got a mail yet because a server still tries; nothing if nobody is waiting for one."""
    lines = [
        (row.key or row.subject, address, row.recipients[address].reason)
        for row in rows
        for address in row.people
        if is_late(row, address)
    ]
    if not lines:
        return NOTHING
    title = ngettext(
        "{number} email is late, and counts as sent", "{number} emails are late, and count as sent", len(rows)
    )
    shown = (Markup("<li>{} · {} — {}</li>").format(*map(markup.isolated, line)) for line in lines)
    label = title.format(number=f"{len(rows):,}")
    return tag("div", tag("div", label, class_="dm-facts") + tag("ul", joined(shown)), class_="dm-missed dm-late")


def is_late(row: Row, address: str) -> bool:
    """Say whether a server still tries to deliver a mail to this recipient."""
    recipient = row.recipients[address]
    return recipient.state == State.SENT and bool(recipient.reason)


def _missed_mail(row: Row, editor: Markup, *, off: bool) -> Markup:
    addresses = missed_by(row)
    lines = []
    for position, address in enumerate(addresses):
        first = position == 0
        opened = str(bool(editor)).lower()
        what = button("correct", _("Correct and send"), row.id, style=LINK, disabled=off, aria_expanded=opened)
        cells = (
            tag("td", markup.isolated(row.key or row.subject), title=row.subject),
            tag("td", markup.isolated(address)),
            tag("td", joined([_came_back(row, address), markup.isolated(why_missed(row, address))])),
            tag("td", what if first else NOTHING),
        )
        lines.append(tag("tr", joined(cells)))
    if editor:
        lines.append(tag("tr", tag("td", editor, colspan=4)))
    return joined(lines)


def _came_back(row: Row, address: str) -> Markup:
    """Return the mark of somebody from whom a mail came back; the others were refused, or it was not sent to them."""
    if row.recipients[address].state != State.BOUNCED:
        return NOTHING
    sign, style = SIGNS[State.BOUNCED]
    mark = tag("span", sign, class_=style, aria_hidden="true")
    return Markup("{} {}: ").format(mark, states()[State.BOUNCED])


def editor(row: Row, typed: Mapping[str, str], said: str, *, off: bool) -> Markup:
    """Return the fields in which the addresses of a mail are corrected; `typed` is what stands in them."""
    fields = []
    for position, address in enumerate(missed_by(row)):
        name = f"address-{position}"
        entry = markup.entry(
            name,
            typed.get(name, address),
            data_keep=True,
            data_enter="send-corrected",
            data_id=row.id,
            spellcheck="false",
            inputmode="email",
            autocomplete="off",
            aria_label=_("Correct address for {address}").format(address=address),
        )
        fields.append(entry)
    buttons = (
        button("send-corrected", _("Send"), row.id, style=f"{markup.BUTTON} mod-primary", careful=True, disabled=off),
        button("leave-corrected", _("Cancel"), row.id, disabled=off),
    )
    got = len(row.people) - len(missed_by(row))
    about = ngettext(
        "It goes to this address alone; {number} has got it.",
        "It goes to this address alone; {number} have got it.",
        got,
    ).format(number=f"{got:,}")
    parts = [*fields, *buttons]
    return joined([tag("div", joined(parts), class_="dm-asked"), tag("div", about) if got else NOTHING, said])


# --- before it is sent ---


def doubles(number: int, named_ones: Mapping[str, int]) -> Markup:
    """Return which addresses get several mails, folded; nothing if none does."""
    if not number:
        return NOTHING
    summary = ngettext("{number} address gets several", "{number} addresses get several", number)
    lines = [
        (address, ngettext("{number} email", "{number} emails", mails).format(number=f"{mails:,}"))
        for address, mails in named_ones.items()
    ]
    more = number - len(lines)
    further = markup.paragraph(_("and {number} more").format(number=f"{more:,}")) if more > 0 else NOTHING
    return markup.folded(summary.format(number=f"{number:,}"), markup.table(lines) + further)


def get_several(number: int, named_ones: Mapping[str, int]) -> str:
    """Say in a few words how many addresses get how many."""
    if number <= len(named_ones) and {*named_ones.values()} == {2}:
        return ngettext("{number} gets two", "{number} get two", number).format(number=f"{number:,}")
    return ngettext("{number} gets several", "{number} get several", number).format(number=f"{number:,}")


def clock(moment: datetime) -> str:
    """Return a time to come as people say it: today without the date."""
    local = moment.astimezone()
    return f"{local:%H:%M}" if local.date() == datetime.now().astimezone().date() else f"{local:%Y-%m-%d %H:%M}"


def duration(seconds: float) -> str:
    """Return a long time as people say it."""
    if seconds < 60:  # noqa: PLR2004
        return _("less than a minute")
    minutes = round(seconds / 60)
    if minutes < 100:  # noqa: PLR2004 - "100 min" is read more slowly than "1.7 h"
        return _("about {number} min").format(number=minutes)
    return _("about {number} h").format(number=f"{seconds / 3600:.1f}")
