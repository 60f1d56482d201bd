"""The record of mail in HTML: the table, a mail opened in it, and the questions about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from docmail.language import _, ngettext
from docmail.outbox import Role, State, due_text, is_due, missed_by, missing, reply_text, why_missed
from docmail.widgets.mail import result
from docmail.widgets.outbox.mailbox_look import look_in_sent_label
from docmail.widgets.outbox.run_markup import is_late
from docmail.widgets.outbox.states import SIGNS, states
from docmail.widgets.parts import markup
from docmail.widgets.parts.markup import LINK, button, joined, tag
from docmail.widgets.parts.rendered_mail import rendered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from docmail.message import Arrived
    from docmail.outbox import Page, Row

PERIODS = {"": 0, "1": 1, "7": 7, "30": 30, "365": 365}
"""The choices of "When", and how many days each goes back; today is one."""

PANEL = "dm-panel"
"""The class of the widget that shows a document of the opened mail, at its row."""

_NAMED = 2  # recipients in the table; all stand in the mail that is opened


def filters(values: Mapping[str, str]) -> Markup:
    """Return the fields by which the table is narrowed down."""

    def text(name: str, label: str, example: str) -> Markup:
        value = values.get(name, "")
        field = markup.entry(name, value, data_live=True, spellcheck="false", placeholder=example)
        return Markup("<label>{}{}</label>").format(label, field)

    def menu(name: str, label: str, choices: Mapping[str, str]) -> Markup:
        field = markup.menu(name, choices, values.get(name, ""), data_live=True)
        return Markup("<label>{}{}</label>").format(label, field)

    times = (_("any time"), _("today"), _("the last 7 days"), _("the last 30 days"), _("the last year"))
    fields = (
        text("who", _("Who"), _("address or user")),
        text("what", _("What"), _("subject or document")),
        menu("when", _("When"), dict(zip(PERIODS, times, strict=True))),
        menu("state", _("State"), {"": _("all")} | {str(state): word for state, word in states().items()}),
        text("reply", _("Server's reply"), _("code or text")),
    )
    return tag("div", joined(fields), class_="dm-filters", role="search", aria_label=_("Filter the outbox"))


def table(page: Page, begin: int, opened: int | None, detail: Markup, *, filtered: bool) -> Markup:
    """Return a page of mails, one of them opened."""
    if not page.total:
        sentence = _("No mail fits this filter.") if filtered else _("No mail has been sent from here yet.")
        return markup.paragraph(sentence)
    columns = {"what": _("What"), "who": _("To"), "when": _("When"), "state": _("State"), "reply": _("Why not")}
    head = (tag("th", title, scope="col", class_=f"dm-column-{name}") for name, title in columns.items())
    body = (_line(row, detail if row.id == opened else None) for row in page.rows)
    return Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>{}").format(
        joined(head), joined(body), _pager(page, begin)
    )


def _line(row: Row, detail: Markup | None) -> Markup:
    opened = detail is not None
    opener = button("open", row.subject or _("(no subject)"), row.id, style=LINK, aria_expanded=str(opened).lower())
    reply, when = _reply_or_reason(row), _to_be_sent(row) or markup.when(row.sent_at or row.created)
    cells = (
        tag("td", opener),
        tag("td", markup.listed(row.to, _NAMED), class_="dm-cell-who", title=", ".join(row.to)),
        tag("td", when, class_="dm-cell-when", title=when),
        tag("td", _state(row.state, partly=_is_partly_sent(row))),
        tag("td", reply, class_="dm-cell-reply", title=reply),
    )
    line = tag("tr", joined(cells), data_press="open", data_id=row.id, class_="dm-open" if opened else None)
    return line + (Markup('<tr class="dm-opened"><td colspan="5">{}</td></tr>').format(detail) if opened else "")


def _to_be_sent(row: Row) -> str:
    """Return when a mail is to go that waits for a later time; nothing for any other."""
    if row.state != State.QUEUED or row.send_at is None or is_due(row.send_at):
        return ""
    return _("to be sent at {time}").format(time=due_text(row.send_at))


def _is_partly_sent(row: Row) -> bool:
    """Say whether somebody has not got a mail that was sent."""
    return row.state == State.SENT and any(
        row.recipients[address].state != State.SENT for address in result.people(row)
    )


def _state(name: str, *, partly: bool = False) -> Markup:
    state = State(name)
    sign = "" if state is State.QUEUED else SIGNS.get(state, ("",))[0]
    word = _("partly sent") if partly else states()[state]
    style = State.UNKNOWN if partly else state
    return tag("span", f"{sign} {word}".lstrip(), class_=f"dm-state-{style}")


def _reply_or_reason(row: Row) -> str:
    """Return why somebody has not got a mail: what the server said, or why it did not get as far as a server."""
    if row.state not in {State.SENT, State.BOUNCED}:
        return reply_text(row.reply) if row.reply is not None else row.reason
    if missed := missed_by(row):
        return why_missed(row, missed[0])
    if late := next((row.recipients[address].reason for address in row.people if is_late(row, address)), ""):
        return late
    # Its reason is that of the doubt which a person has settled since.
    return _("noted: it arrived") if row.reason else ""


def _pager(page: Page, begin: int) -> Markup:
    end = begin + len(page.rows)
    said = _("{first} to {last} of {total}").format(first=f"{begin + 1:,}", last=f"{end:,}", total=f"{page.total:,}")
    if end - begin == page.total:
        return tag("div", said, class_="dm-pager dm-facts", role="status")
    return markup.pager(
        tag("span", said, class_="dm-facts", role="status"),
        ("newer", _("Newer mails")),
        ("older", _("Older mails")),
        first=begin == 0,
        last=end >= page.total,
    )


def mail(arrived: Arrived | None) -> Markup:
    """Return what the recipients of a mail see of it; None is one whose content is no longer kept."""
    if arrived is None:
        return tag("div", markup.aside(_("The text of this mail is no longer kept.")), class_="dm-said-about")
    return rendered(arrived)


def detail(row: Row, *, asks: str, said: str, has_mailbox: bool = False) -> Markup:
    """Return a mail that is opened: what became of it for each recipient, its documents, what can be done.

    With a mailbox, a copy of one in doubt can be looked for.
    The mail itself has a zone of its own, so that it stays when something is asked about it.
    """
    facts = [
        _("from {sender}").format(sender=row.sender),
        *([to_be_sent] if (to_be_sent := _to_be_sent(row)) else []),
        *([_("by {user}").format(user=row.user)] if row.user else []),
        *([_("batch {name}").format(name=row.batch)] if row.batch else []),
        *([_("key {key}").format(key=row.key)] if row.key else []),
        *([_copy(row)] if row.filed is not None else []),
    ]
    parts = [_recipients(row), tag("div", " · ".join(facts), class_="dm-facts dm-said-about")]
    if row.reason and row.state not in {State.SENT, State.BOUNCED}:  # a bounce stands at its recipient
        parts.append(tag("div", row.reason, class_="dm-said-about"))
    parts.append(tag("div", data_zone="mail"))
    parts += [
        Markup('<div class="dm-links dm-document"><span>▣ {}</span>{}{}</div>').format(
            name,
            button("document", _("Show"), f"{row.id}/{position}", style=LINK),
            button("download", _("Download"), f"{row.id}/{position}", style=LINK),
        )
        for position, name in enumerate(row.documents)
    ]
    if row.documents:
        parts.append(tag("div", data_place=PANEL))
    if row.state == State.UNKNOWN:
        question = _("It may have arrived: nobody knows. Ask the recipient, or look into your Sent folder.")
        parts.append(tag("div", question, class_="dm-question"))
    parts.append(tag("div", _question(row, asks) if asks else _offers(row, has_mailbox=has_mailbox), class_="dm-asked"))
    return joined([*parts, markup.status(said)])


def _copy(row: Row) -> str:
    """Return whether there is a copy in the Sent folder, of those that docmail files."""
    if row.filed:
        return _("a copy is in the Sent folder")
    owed = _("the copy for the Sent folder is still to be filed")
    return f"{owed}: {row.not_filed}" if row.not_filed else owed


def _recipients(row: Row) -> Markup:
    roles = {Role.TO: _("To"), Role.CC: _("Cc"), Role.BCC: _("Bcc"), Role.ARCHIVE: _("copy")}
    line = Markup('<tr><td class="dm-facts">{}</td><td>{}</td><td>{}</td><td>{}</td></tr>')
    lines = (
        line.format(roles[each.role], address, _state(each.state), _about_recipient(row, address))
        for address, each in row.recipients.items()
    )
    return tag("table", tag("tbody", joined(lines)), class_="dm-recipients")


def _about_recipient(row: Row, address: str) -> str:
    each = row.recipients[address]
    if is_late(row, address):
        return each.reason
    return reply_text(each.reply) if each.reply else ""


def _offers(row: Row, *, has_mailbox: bool) -> Markup:
    offers = []
    if row.state == State.UNKNOWN:
        offers.append(button("arrived", _("It arrived"), row.id, careful=True))
        if has_mailbox:
            offers.append(button("look-in-sent", look_in_sent_label(), row.id))
    if row.bounced:
        offers.append(button("correct", _("Correct and send"), row.id))
    if _is_partly_sent(row):
        number = len(missing(row))
        label = ngettext("Send again to {number} without it…", "Send again to {number} without it…", number)
        offers.append(button("again", label.format(number=number), row.id))
        offers.append(button("everybody", _("Send again to everybody…"), row.id))
    elif row.state not in {State.QUEUED, State.SENDING}:
        offers.append(button("again", _("Send again…"), row.id))
    return joined([*offers, button("eml", _("Save as .eml"), row.id)])


def _question(row: Row, asks: str) -> Markup:
    people = _again_to(row, everybody=asks == "everybody")
    question = ngettext(
        "Send it again now, to {number} recipient?", "Send it again now, to {number} recipients?", len(people)
    ).format(number=len(people))
    return joined(
        [
            markup.question(question),
            button("send", _("Send again"), row.id, style=f"{markup.BUTTON} mod-primary", careful=True),
            button("keep", _("Cancel"), row.id),
        ]
    )


def _again_to(row: Row, *, everybody: bool) -> Sequence[str]:
    """Return who gets a mail that is sent again: those who have not got it, or everybody."""
    people = result.people(row)
    return people if everybody else missing(row) or people


def days_question(days: int) -> Markup:
    """Return the question whether contents are to be removed now."""
    question = ngettext(
        "The contents of mails older than {number} day are removed now, and do not come back.",
        "The contents of mails older than {number} days are removed now, and do not come back.",
        days,
    ).format(number=days)
    parts = (
        markup.question(question),
        button("keep-days", _("Remove them"), days, careful=True),
        button("leave-days", _("Cancel")),
    )
    return tag("div", joined(parts), class_="dm-foot")


def foot(days: float, said: str = "") -> Markup:
    """Return how long contents are kept, and where that is changed."""
    before, _sign, after = _("Contents are kept {days} days, the record stays.").partition("{days}")
    number = markup.entry("days", f"{days:g}", inputmode="numeric", data_enter="days", aria_label=_("Days"))
    parts = (
        tag("span", joined([before, number, after])),
        button("days", _("Change")),
        tag("span", said, role="status") if said else "",
        button("refresh", _("Refresh"), style=LINK),
    )
    return tag("div", joined(parts), class_="dm-foot")
