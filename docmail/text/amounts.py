"""Writes shares and sums of money as a reader of tables expects them: “12.5%”, “EUR 1,850.00”, “1.850,00 €”.

Where no locale is asked for, an amount has the code of its currency (ISO 4217) before it, which no reader mistakes. A
locale has its own signs and places for them, from Unicode's tables (CLDR).
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import TYPE_CHECKING, Any

from docmail.language import _
from docmail.text.numbers import digits, grouped, localised, significant, signs_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["CURRENCY", "PERCENT", "as_currency", "as_percent", "currency_code"]

PERCENT, CURRENCY = "percent", "currency"

_CODE = re.compile("[A-Z]{3}")
_TYPED = 15  # significant digits; more are the result of a calculation
_NO_BREAK = "\u00a0"

# ISO 4217: how many places an amount has; all others have two.
_PLACES = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG"), 0),
    **dict.fromkeys(("RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}


def currency_code(form: object, currency: str | None) -> str | None:
    """Return the currency that a column's format asks for: “EUR” itself, or of “currency” the one that is known.

    None for a format that asks for none. Raises `ValueError`, with a sentence, where “currency” is not known.
    """
    if isinstance(form, str) and _CODE.fullmatch(form):
        return form
    if form != CURRENCY:
        return None
    if currency is None:
        raise ValueError(_("which currency is not known"))
    return currency


def as_percent(values: Iterable[Any], locale: str | None) -> Callable[[Any], str]:
    """Return what writes the shares of a column: 0.125 as “12.5%”, all with as many places as the column needs.

    A share that was calculated is rounded to one place, others to two at most.
    """
    signs = signs_of(locale)
    texts = [text for text in map(digits, values) if text[-1:].isdigit()]
    calculated = any(significant(text) >= _TYPED for text in texts)
    places = max((len(text.partition(".")[2]) - 2 for text in texts), default=0)
    places = 1 if calculated else min(max(places, 0), 2)
    before, after = "", "%"
    if locale is not None:
        pattern = _babel(locale).percent_formats[None]
        before, after = pattern.prefix[0], pattern.suffix[0]

    def write(value: Any) -> str:
        text = digits(value)
        if not text[-1:].isdigit():  # NaN, or infinite
            return text
        return _around(before, localised(grouped(_rounded(text, places, shift=2)), signs), after)

    return write


def as_currency(code: str, locale: str | None) -> Callable[[Any], str]:
    """Return what writes an amount of a currency: “EUR 1,850.00”, or as the locale does, “1.850,00 €”.

    It has as many places as the currency has; half a cent is rounded up.
    """
    signs, places = signs_of(locale), _PLACES.get(code, 2)
    before, after, symbol = "¤" + _NO_BREAK, "", code
    if locale is not None:
        from babel.numbers import get_currency_symbol

        known = _babel(locale)
        pattern = known.currency_formats["standard"]
        before, after = pattern.prefix[0], pattern.suffix[0]
        symbol = get_currency_symbol(code, known)
        if symbol == code and before.endswith("¤"):  # letters do not stand against the digits
            before += _NO_BREAK
    before, after = (each.replace("¤", symbol).replace("\u202f", _NO_BREAK) for each in (before, after))

    def write(value: Any) -> str:
        text = digits(value)
        if not text[-1:].isdigit():
            return text
        return _around(before, localised(grouped(_rounded(text, places)), signs), after)

    return write


def _babel(locale: str) -> Any:
    from babel import Locale

    return Locale.parse(locale.replace("-", "_").partition(".")[0])


def _rounded(text: str, places: int, shift: int = 0) -> str:
    """Return a written number, its point moved to the right, with so many places."""
    exact = Context(prec=1000)
    number = Decimal(text).scaleb(shift, exact)
    rounded = number.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP, context=exact)
    return f"{rounded or abs(rounded):f}"


def _around(before: str, number: str, after: str) -> str:
    """Return a number with what stands around it; the sign of a negative one stands first."""
    sign = "-" if number.startswith("-") else ""
    return f"{sign}{before}{number.removeprefix('-')}{after}"
