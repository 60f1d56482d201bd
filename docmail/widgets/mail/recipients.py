"""Reads what stands in To, Cc and Bcc as people paste it, and says of each address what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from docmail.addresses import Address, parse_address, pasted
from docmail.errors import AddressError
from docmail.language import _, ngettext
from docmail.widgets.parts import markup

__all__ = ["Recipients", "read"]

_NAMED = 4  # wrong ones; a longer list says less


@dataclass(frozen=True)
class Recipients:
    """The addresses in one field, each once, and the sentences about those that are none."""

    addresses: tuple[Address, ...]
    problems: tuple[str, ...]
    twice: tuple[str, ...]
    text: str
    """As it stands in the field, one in each line; what is wrong stays as it was typed."""

    @property
    def problem(self) -> Markup:
        """What is wrong, a line for each address; nothing if nothing is."""
        lines = list(self.problems[:_NAMED])
        if more := len(self.problems) - len(lines):
            lines.append(
                ngettext("{number} more is no address.", "{number} more are no addresses.", more).format(number=more)
            )
        return Markup("<br>").join(lines)

    @property
    def found(self) -> Markup:
        """How many they are, where that is worth a word; and who stands there twice."""
        if len(self.addresses) + len(self.twice) < 2:  # noqa: PLR2004 - one is seen
            return markup.NOTHING
        number = len(self.addresses)
        said = [ngettext("{number} recipient", "{number} recipients", number).format(number=f"{number:,}")]
        if self.twice:
            sentence = _("{addresses} stands there twice, and gets one mail.")
            said.append(sentence.format(addresses=markup.listed(self.twice, _NAMED)))
        return markup.found(" · ".join(said))


def read(text: str, field: str) -> Recipients:
    """Return what stands in a field."""
    found: dict[str, Address] = {}
    problems, lines, twice = [], [], []
    for piece in pasted(text):
        try:
            address = parse_address(piece, field)
        except AddressError as exc:
            # What the whole exception says besides is how an address looks, which the others show.
            problems.append(exc.message)
            lines.append(piece)
            continue
        if found.setdefault(address.mailbox, address) is address:
            lines.append(str(address) if address.name else address.shown)
        else:
            twice.append(address.shown)
    return Recipients(tuple(found.values()), tuple(problems), tuple(dict.fromkeys(twice)), "\n".join(lines))
