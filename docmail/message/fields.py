"""Checks what a person gives for the fields of a message: addresses, lines of text, and keys.

Each value is cleaned here, once, with an error that names its field; later code trusts it.
"""

from __future__ import annotations

from decimal import Decimal
from numbers import Integral
from typing import TYPE_CHECKING, Any

from docmail.addresses import first_control, parse_addresses
from docmail.errors import AddressError, MessageError
from docmail.language import _
from docmail.text import Given, Narrow, is_missing, with_line_feeds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from docmail.addresses import Address

    Addresses = str | Address | Iterable[str | Address]

__all__ = ["addresses_of", "checked_text", "former_number_key", "key_text", "number_key", "recipients_of", "subject_of"]

_MAX_SUBJECT = 900
_MAX_KEY = 200


# --- addresses --------------------------------------------------------------------------------------------------------


def recipients_of(**fields: Addresses) -> dict[str, tuple[Address, ...]]:
    """Return the addresses of each field; nobody is in two, and the first one counts. Raises if there is none."""
    found: dict[str, tuple[Address, ...]] = {}
    seen: set[str] = set()
    for field, value in fields.items():
        found[field] = tuple(address for address in addresses_of(value, field) if address.mailbox not in seen)
        seen |= {address.mailbox for address in found[field]}
    if not found["to"]:
        raise AddressError(
            _("The message has no recipient."), field="to", hint=_('Give an address: to="cfo@example.com".')
        )
    return found


def addresses_of(value: Addresses, field: str) -> tuple[Address, ...]:
    """Return the addresses of one field, whose name begins what is raised."""
    try:
        return parse_addresses(value, field)
    except AddressError as exc:
        sentence = f"{field}: {exc.message}"
        raise AddressError(sentence, address=exc.address, field=field, hint=exc.hint) from exc


# --- texts ------------------------------------------------------------------------------------------------------------


def checked_text(value: Any, field: str, limit: int, *, lines: bool = False) -> str:
    """Return a text of at most so many characters: one line without blanks around it, or with `lines` several."""
    if not isinstance(value, str):
        raise MessageError(
            _("The {field} must be text, not {type}.").format(field=field, type=type(value).__name__),
            field=field,
            hint=_('Write it in quotes, such as {field}="Q3".').format(field=field),
        )
    text = with_line_feeds(value) if lines else value.strip(" \t")
    if len(text) > limit:
        raise MessageError(
            _("The {field} is longer than {limit} characters.").format(field=field, limit=limit),
            field=field,
            hint=_("Attach it as a document.") if lines else _("Shorten it."),
        )
    if control := first_control(text, lines=lines):
        raise MessageError(
            _("The {field} contains the invisible character {code}.").format(field=field, code=control),
            field=field,
            hint=_("Remove it from the text.") if lines else _("Write it in one line, without control characters."),
        )
    return text


def subject_of(value: Any) -> str:
    """Return a subject, with what a template was filled with, because a key compares that."""
    line = checked_text(value, "subject", _MAX_SUBJECT)
    return Given(line, value.source.strip(" \t")) if isinstance(value, Given) else line


# --- keys -------------------------------------------------------------------------------------------------------------

_EXACT = 2**53  # from here on, a float no longer distinguishes one whole number from the next
_NARROW = {2: 2**11, 4: 2**24}  # the same for floats of so many octets, as NumPy has them
_LONGEST = 10**200  # a key of more digits is refused as no text, before Python refuses to write it


def key_text(value: Any) -> str:
    """Return a key as the text that is compared and written down; raises `MessageError` if it cannot be one."""
    # Numbers are common keys (an invoice number in a data set, where it is NumPy's); text is what is compared.
    missing = not isinstance(value, str) and is_missing(value)
    key = checked_text("" if missing else number_key(value) or value, "key", _MAX_KEY)
    if not key:
        raise MessageError(
            _("The {field} is empty.").format(field="key"), field="key", hint=_("Give a key that is unique, or none.")
        )
    return key


def number_key(value: Any, column: str = "invoice_no") -> str | None:
    """Return a number as the text of a key: one text for one number, whatever its type. None for all but numbers.

    118, 118.0 and Decimal("118.00") are "118". Raises `MessageError`, with the column to read as text, for a float that
    may stand for several whole numbers.
    """
    number = _number(value)
    if isinstance(number, float):
        octets = value.octets if isinstance(value, Narrow) else getattr(getattr(value, "dtype", None), "itemsize", 8)
        if abs(number) < _NARROW.get(octets, _EXACT):
            return _float_key(number)
    elif isinstance(number, Decimal):
        if number.is_finite():
            # 2.50 says more than 2.5, so only a whole one is written otherwise than it is.
            whole = abs(number.adjusted()) < len(str(_LONGEST)) and number == int(number)
            return str(int(number)) if whole else str(number)
    else:
        return None if number is None or not -_LONGEST < number < _LONGEST else str(number)
    raise MessageError(
        _(
            "The key {value} is a float, and floats of this size are not exact: two different numbers "
            "can become the same key."
        ).format(value=f"{value:.17g}"),
        field="key",
        hint=_('Read the column as text: pandas.read_csv(..., dtype={{"{column}": str}}).').format(column=column),
    )


def former_number_key(value: Any) -> str | None:
    """Return the key that version 0.1.0 made of a number which was not an integer; None for everything else."""
    number = _number(value)
    return f"{number:.15g}" if isinstance(number, float) else str(number) if isinstance(number, Decimal) else None


def _number(value: Any) -> int | float | Decimal | None:
    """Return a number as Python's own; None for everything else."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind in {"i", "u", "f"} and not getattr(value, "ndim", 0):  # NumPy's
        return float(value) if kind == "f" else int(value)
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    return value if isinstance(value, (float, Decimal)) else None


def _float_key(value: float) -> str:
    """Return a float as people write it, unless that were another float's text, too."""
    if value.is_integer():
        return str(int(value))
    text = f"{value:.15g}"
    return text if float(text) == value else repr(value)
