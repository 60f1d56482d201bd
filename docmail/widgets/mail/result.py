"""What is said of a mail: who got it, who refused it with which words, and who has got it before."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from docmail.language import _, ngettext
from docmail.widgets.parts import markup

if TYPE_CHECKING:
    from collections.abc import Collection

    from docmail.outbox import Earlier
    from docmail.reply import Reply
    from docmail.transport import SendResult


_NAMED = 3  # recipients; a longer list says less


def result(people: Collection[str], sent: SendResult) -> str:
    """Return to how many people it went, and who was refused with which words; the archive is none of them."""
    accepted = sum(address in people for address in sent.accepted)
    parts = [
        markup.good(
            ngettext("Sent to {number} recipient.", "Sent to {number} recipients.", accepted).format(number=accepted)
        )
    ]
    turned_away = {address: reply for address, reply in sent.refused.items() if address in people}
    if turned_away:
        listed = "; ".join(f"{address} — {words(reply)}" for address, reply in turned_away.items())
        parts.append(
            markup.bad(
                ngettext("{number} refused: {listed}", "{number} refused: {listed}", len(turned_away)).format(
                    number=len(turned_away), listed=listed
                )
            )
        )
    for address in sent.refused.keys() - set(people):
        parts.append(markup.paragraph(_("The copy to {address} was refused.").format(address=address)))  # noqa: PERF401
    return markup.box("mind" if turned_away else "good", *parts)


def earlier(found: Earlier) -> str:
    """Return who has got the same mail before, and when; perhaps, if nobody knows."""
    row = found.row
    if row.state == "unknown":
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


def words(reply: Reply) -> str:
    """Return a server's reply as a person reads it: its words first."""
    code = " ".join(part for part in (str(reply.code), reply.enhanced) if part)
    # Many servers begin with the address, which stands before these words already.
    said = re.sub(r"^<[^<>]*>:?\s*", "", reply.text)
    return f"{said} ({code})" if said else code
