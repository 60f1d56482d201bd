"""Writes numbers as a person would, by one rule for mails, tables, PDFs, CSV files and Excel files.

- The digits are the fewest that the number's own type reads back: a float32 of 19.99 is 19.99. What a calculation
  adds in the sixteenth digit (0.1 + 0.2) is left away; a decimal keeps all of its own.
- There is no scientific notation, and a whole number has all its digits.
- `Signs` of a language put other marks between the digits ("182.450,50"), never other digits.
"""

from __future__ import annotations

import re
import struct
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from docmail.errors import MessageError
from docmail.language import _

if TYPE_CHECKING:
    from typing import Self

__all__ = [
    "ENGLISH",
    "NARROW",
    "Narrow",
    "Signs",
    "digits",
    "grouped",
    "localised",
    "minus",
    "narrowed",
    "significant",
    "signs_of",
]

_SURE = 12  # significant digits; a float of so few was typed, one of 16 was calculated
_EXACT = 15  # significant digits that every float keeps
_UNTYPED = 1e-3  # less than that may be what a calculation adds
_FARTHEST = 400  # places before or behind the point, beyond all floats; a decimal may have millions
NARROW = {2: "e", 4: "f"}
"""The octets of floats that NumPy has and Python has not, with their codes in the module struct."""
_NARROW_COLUMNS = {"float16": 2, "halffloat[pyarrow]": 2, "float32": 4, "float[pyarrow]": 4}


class Narrow(float):
    """A float of two or four octets, as NumPy has them: its value as Python's float, and the digits that it stands for.

    The value is not rounded to them: a key and the text of a mail were recorded with it.
    """

    digits: str
    octets: int

    def __new__(cls, value: float, octets: int) -> Self:
        """Return the float that a type of so many octets holds."""
        made = super().__new__(cls, value)
        made.octets = octets
        made.digits = _shortest(value, NARROW[octets])
        return made

    def __getnewargs__(self) -> tuple[float, int]:  # type: ignore[override]  # those of float are fewer
        """Return what makes the same again in another process."""
        return float(self), self.octets


def narrowed(values: list[Any], dtype: Any) -> list[Any]:
    """Return the values of a column of this dtype, which came as Python's floats, as narrow as they were."""
    octets = _NARROW_COLUMNS.get(str(dtype).lower())
    return [Narrow(each, octets) if isinstance(each, float) else each for each in values] if octets else values


def _shortest(value: float, code: str) -> str:
    octets = struct.pack(code, value)
    for count in range(1, 10):
        text = f"{value:.{count}g}"
        with suppress(OverflowError):  # rounded up, it may be larger than the type's largest
            if struct.pack(code, float(text)) == octets:
                return text
    return repr(value)


def digits(value: float | Decimal) -> str:
    """Return a number with all its digits and no others, a point before its fraction, and nothing between thousands."""
    if isinstance(value, int):
        return str(value) if abs(value) < 10**_FARTHEST else f"{Decimal(value):f}"
    if isinstance(value, Decimal):
        return _written_out(value)
    if value != value or value in {float("inf"), float("-inf")}:  # noqa: PLR0124 - NaN
        return repr(float(value))
    text = value.digits if isinstance(value, Narrow) else repr(float(value))
    if len(text) > _EXACT and not value.is_integer():
        short = f"{value:.{_EXACT}g}"
        # Of a large number, the sixteenth digit may be one that somebody has typed.
        if significant(short) <= _SURE and abs(value - float(short)) < _UNTYPED:
            text = short
    return _written_out(Decimal(text)).removesuffix(".0")


def _written_out(value: Decimal) -> str:
    if not value.is_finite() or abs(value.adjusted()) > _FARTHEST:
        return str(value)
    text = f"{value:f}"
    return text if value else text.removeprefix("-")


def significant(text: str) -> int:
    """Return how many digits of a written number say something."""
    return len(re.sub(r"e.*|\D", "", text).strip("0"))


def grouped(text: str) -> str:
    """Return what `digits` wrote with commas between the thousands."""
    whole, point, fraction = text.partition(".")
    return re.sub(r"(?<=\d)(?=(?:\d{3})+$)", ",", whole) + point + fraction


def minus(text: str) -> str:
    """Return a written number with a minus sign, where it has a hyphen."""
    return re.sub(r"^-(?=\D{0,6}\d)", "\u2212", text)  # a currency may stand between


# --- the signs of a language ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Signs:
    """What stands between the digits of a number, and how many digits a group has: the last one, and those before."""

    group: str = ","
    point: str = "."
    last: int = 3
    others: int = 3


ENGLISH: Signs = Signs()
"""How numbers are written where no language is asked for."""


@lru_cache(maxsize=64)
def signs_of(locale: str | None) -> Signs:
    """Return the signs of a locale ("de", "en-ZA"); of None, the English ones.

    Raises `MessageError` for a locale that Unicode's tables (CLDR) do not have, and `ImportError` without babel.
    """
    if locale is None:
        return ENGLISH
    try:
        from babel import Locale, UnknownLocaleError
        from babel.numbers import get_decimal_symbol, get_group_symbol
    except ImportError as exc:
        raise ImportError(_('For locale=, install the extra: pip install "docmail[locale]".')) from exc
    try:
        known = Locale.parse(str(locale).replace("-", "_").partition(".")[0])
    except (UnknownLocaleError, ValueError) as exc:
        raise MessageError(
            _("There is no locale “{locale}”.").format(locale=locale),
            field="locale",
            hint=_('Name a language, and perhaps its country, such as locale="de" or locale="en-ZA".'),
        ) from exc
    pattern = known.decimal_formats[None]
    # A narrow no-break space is in few fonts; readers see the common one the same way.
    group = get_group_symbol(known).replace("\u202f", "\u00a0")
    return Signs(group, get_decimal_symbol(known), *pattern.grouping)


def localised(text: str, signs: Signs) -> str:
    """Return a text whose numbers, written with English signs, have those of a language."""
    return text if signs == ENGLISH else re.sub(r"\d[\d,]*(?:\.\d+)?", lambda number: _signed(number[0], signs), text)


def _signed(number: str, signs: Signs) -> str:
    whole, point, fraction = number.partition(".")
    if "," in whole:
        plain = whole.replace(",", "")
        head, tail = plain[: -signs.last], plain[-signs.last :]
        whole = (
            re.sub(rf"(?<=\d)(?=(?:\d{{{signs.others}}})+$)", signs.group, head) + (signs.group if head else "") + tail
        )
    return whole + (signs.point if point else "") + fraction
