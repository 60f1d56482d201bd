"""How the states of a mail are called and marked on the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import escape

from docmail.language import _
from docmail.outbox import State
from docmail.widgets.parts import markup

if TYPE_CHECKING:
    from collections.abc import Mapping

    from markupsafe import Markup

MISSED = "missed"

SIGNS = {
    State.QUEUED: ("↻", "dm-warning"),
    State.SENT: ("✓", "dm-ok"),
    State.BOUNCED: ("↩", "dm-problem"),
    State.REFUSED: ("✗", "dm-problem"),
    State.FAILED: ("✗", "dm-problem"),
    State.UNKNOWN: ("?", "dm-warning"),
}
"""The mark of a state and its class in the style sheets; a mail on its way has none."""


def states() -> dict[State, str]:
    """Return the states of a mail in words, in the order of a mail's life."""
    return {
        State.QUEUED: _("waiting"),
        State.SENDING: _("being sent"),
        State.SENT: _("sent"),
        State.BOUNCED: _("bounced"),
        State.REFUSED: _("refused"),
        State.FAILED: _("not sent"),
        State.UNKNOWN: _("unknown"),
    }


def counts_with_fold(counts: Mapping[str, int], *, opened: bool, first: State = State.QUEUED) -> Markup:
    """Return the same; what bounced is a button (`MISSED`) that shows and hides the table of those who were missed."""
    said = counted(counts, first)
    if not (bounced := counts.get(State.BOUNCED)):
        return escape(said)
    words = f"{bounced:,} {states()[State.BOUNCED]}"
    button = markup.button(MISSED, words, style=f"{markup.LINK} dm-unfolds", aria_expanded=str(opened).lower())
    before, _words, after = said.partition(words)
    return markup.joined([before, button, after])


def counted(counts: Mapping[str, int], first: State = State.QUEUED) -> str:
    """Return how many mails are in each state, those in the first state before the others."""
    words = states()
    order = dict.fromkeys((first, *words))
    return " · ".join(f"{counts[state]:,} {words[state]}" for state in order if counts.get(state))
