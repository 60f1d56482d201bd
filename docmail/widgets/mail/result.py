"""What is said of a mail: who got it, who refused it with which reply, and who has got it before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.errors import listed
from docmail.language import _, ngettext
from docmail.outbox import Role, State, reply_text
from docmail.widgets.parts import markup

if TYPE_CHECKING:
    from collections.abc import Collection

    from markupsafe import Markup

    from docmail.outbox import Earlier, Row
    from docmail.transport import SendResult


_NAMED = 3  # recipients; a longer list says less


def result(people: Collection[str], sent: SendResult) -> Markup:
    """Return to how many people it went, and who refused it with which reply; the archive does not count."""
    accepted = sum(address in people for address in sent.accepted)
    parts = [
        markup.good(
            ngettext("Sent to {number} recipient.", "Sent to {number} recipients.", accepted).format(number=accepted)
        )
    ]
    refused = {address: reply for address, reply in sent.refused.items() if address in people}
    if refused:
        said = listed([f"{address} — {reply_text(reply)}" for address, reply in refused.items()])
        parts.append(
            markup.bad(
                ngettext("{number} refused: {listed}", "{number} refused: {listed}", len(refused)).format(
                    number=len(refused), listed=said
                )
            )
        )
    if sent.bounced:
        said = listed([f"{address} — {reply_text(reply)}" for address, reply in sent.bounced.items()])
        number = len(sent.bounced)
        parts.append(
            markup.bad(
                ngettext("{number} came back: {listed}", "{number} came back: {listed}", number).format(
                    number=number, listed=said
                )
            )
        )
    if sent.note:
        parts.append(markup.paragraph(sent.note))
    for address in sent.refused.keys() - set(people):
        parts.append(markup.paragraph(_("The copy to {address} was refused.").format(address=address)))  # noqa: PERF401
    return markup.box("mind" if refused or sent.bounced else "good", *parts)


def earlier(found: Earlier) -> str:
    """Return who has got the same mail before, and when; perhaps, if nobody knows."""
    row = found.row
    if row.state == State.UNKNOWN:
        sentence = _("Perhaps sent to {people} already, {when}: nobody knows whether it arrived.")
    elif found.same:
        sentence = _("Sent to {people} already, {when}.")
    else:
        sentence = _("An earlier {name} was sent to {people} already, {when}.")
    return sentence.format(
        name=row.documents[0] if row.documents else "",
        people=markup.listed(found.people, _NAMED),
        when=markup.when(row.sent_at or row.created),
    )


def people(row: Row) -> tuple[str, ...]:
    """Return the addresses of the people to whom a mail was written, without the account's archive."""
    return tuple(address for address, each in row.recipients.items() if each.role != Role.ARCHIVE)
