"""Says which columns of numbers a total makes sense of: amounts and counts, by the names that people give them.

An identifier, a year, a share or a price per unit is a number as well, and its total says nothing. The words are those
of English, Afrikaans, Dutch, German, French and Spanish heads; `totals=[...]` says it without a guess.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["is_summable"]

_YEARS = range(1900, 2101)
_MOST_IN_A_YEAR = 53  # weeks; months, quarters and days of the week are fewer, and a year of two digits is 26


def _words(words: str, end: str = "") -> re.Pattern[str]:
    return re.compile(rf"\b(?:{words})\b{end}")


def _endings(words: str) -> re.Pattern[str]:
    """Return what finds a word also at the end of a longer one, as German, Dutch and Afrikaans compose them."""
    return re.compile(rf"(?:{words})\b")


_UNIT = "k?g|t|tons?|tonnes?|l|lit(?:er|re)s?|k?m|m2|m²|m3|m³|h|hrs?|hours?|days?|weeks?|months?|years?|k?wh|mwh|units?"
_UNIT += "|pcs?|pieces?|items?|users?|seats?|persons?|heads?|st|stk|stück|stuk|einheit|stunde|tag|monat|uur|dag|maand"
_SHARE = [
    re.compile(r"%|‰|\w (?:per|pro|je) \w"),
    re.compile(rf"/ ?(?:{_UNIT})\b"),
    re.compile(r"^(?:min|max)\b"),
    _words("pct|perc|percent|percentage|share|ratio|rates?|quota|proportion|growth|mean|average|avg|median|minimum"),
    _words("maximum|std|stdev|cagr|yoy|index|taux|probability|prob|pourcentage|moyenne|part|porcentaje|tasa|promedio"),
    _endings("uurtarief|anteil|prozent|prozentsatz|steuersatz|zinssatz|quote|aandeel|persentasie|percentage"),
    _endings("durchschnitt|mittelwert|gemiddelde?|wachstum|groei"),
]
_PERHAPS_SHARE = _words("margin|churn|conversion|discount|tax|vat|occupancy|yield|utili[sz]ation")
_PRICE = [
    _words("prices?|each|prix|precio|tariff|hourly|msrp|rrp|unit (?:cost|value|amount|fee|charge|net|gross)|cost each"),
    _endings("preise?|pryse?|prijs|tarief|tarif|stundensatz"),
]
_AMOUNT = [
    _words(r"totals?|totaal|sum|amount|gesamt\w*|summe|bedrag|montant|importe|count|qty|quantity|anzahl|aantal"),
    _words("(?:number|no|nombre|número) (?:of|de)"),
    _endings("betrag|summe|menge"),
]
_IDENTIFIER = [
    _words(
        "ids?|u?uid|guid|key|nos?|nr|num|numbers?|codes?|ref|reference|zip|zip ?code|plz|code postal|phone", end="$"
    ),
    _words("tel|telephone|mobile|fax|account|konto|rekening|sku|ean|gtin|upc|isbn|serial|barcode|postcode", end="$"),
    _words("batch|invoice|faktuur|factuur|order|customer|client|kunde|klant|employee|article|item|product", end="$"),
    _words("position|pos|row|line|rank|rang|user|numéro|lat|lon|lng|latitude|longitude|age|alter|score", end="$"),
    _words("rating|version", end="$"),
    re.compile(r"#|\bn°|№"),
    _endings("nummer|nommer|nr|kennung|kode|schlüssel|leitzahl|sleutel"),
]
_PERIOD = [
    _words("years?|yr|fy|année|an|año|ejercicio|month|quarter|week|weekday|mois|kw|trimestre|semaine|mes|semana"),
    _words("periods?|período|période"),
    _endings("jahr|jaar|monat|maand|quartal|kwartaal|woche"),
]
_AMOUNT_OF_A_YEAR = _words(
    "units|pieces|hours|days|revenue|sales|costs?|profit|budget|volume|turnover|fees?|income|expenses|spend|population"
    r"|visits|orders|stück|kosten|omzet|omset|last|previous|prior|this|next|\w*umsatz|vor\w*|vorig\w*|verlede|\d+"
)


def is_summable(heads: Sequence[str], values: Sequence[Any]) -> bool:
    """Say whether adding up these numbers under these heads makes sense."""
    name, whole_name = _spaced(heads[-1]), _spaced(" ".join(heads))
    whole = all(abs(value) < 10**_LONG and value == int(value) for value in values)
    if _is(_SHARE, whole_name) or (
        not whole and _PERHAPS_SHARE.search(name) and all(-1 <= value <= 1 for value in values)
    ):
        return False
    if _is(_AMOUNT, whole_name):
        return True
    if _is(_PRICE, name) or (whole and _is(_IDENTIFIER, name)):
        return False
    if not whole or _AMOUNT_OF_A_YEAR.search(name):
        return True
    years = all(int(value) in _YEARS for value in values)
    return not (years or (_is(_PERIOD, name) and all(0 <= value <= _MOST_IN_A_YEAR for value in values)))


_LONG = 30  # digits; no identifier or year has more


def _is(patterns: Sequence[re.Pattern[str]], name: str) -> bool:
    return any(pattern.search(name) for pattern in patterns)


def _spaced(head: str) -> str:
    """Return a head in small letters with blanks between its words: “unitPrice”, “unit_price” and “Unit price”."""
    spaced = re.sub(r"(?<=[a-zà-ÿ])(?=[A-Z])", " ", head)
    return re.sub(r"[\s_.-]+", " ", spaced).strip().casefold()
