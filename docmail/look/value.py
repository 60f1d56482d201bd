"""The look as one frozen value, which is checked when it is made."""

from __future__ import annotations

import math
import os
import re
import warnings
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from docmail.addresses import first_control
from docmail.errors import Guide, MessageError, Problem, SettingsError
from docmail.files import reason_of
from docmail.language import _
from docmail.look.colours import ENOUGH, contrast, normal, readable
from docmail.look.logos import MAX_OCTETS, Logo, LogoError, checked_logo, logo_of
from docmail.text import elements_in, signs_of, with_line_feeds

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Look", "checked", "joined"]

_MAX_NAME = 100
_MAX_SIGNATURE, _MAX_LINES = 1_000, 15
_MAX_FOOTER = 2_000
_MAX_FONT = 20_000_000
_NO_EMBEDDING = 0x0002  # OS/2 fsType: may not be embedded without the owner's permission
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")

# ISO 4217, the currencies in use; without metals, funds and codes for tests.
_CURRENCIES = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY
COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR
ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK
MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF
SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU
UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""


@dataclass(frozen=True)
class Look:
    r"""How mails and documents look.

    `name` and `logo` (the `Path` of a PNG, JPEG or GIF, or its bytes) stand at the top. `colour` ("#0a5c8c") is that of
    headings, links and the line above a mail; where it is too light to be read, a darker shade is used, and a warning
    says so. `font` (the `Path` of a TrueType file, or its bytes) is for documents: mails have the fonts of their
    readers. `signature` is Markdown, and stands below each mail; `footer`, also Markdown, is what the law or the
    company wants below that. `locale` ("de", "en-ZA") sets the signs in numbers, and needs babel; `currency` ("EUR") is
    that of amounts. Files are read at once. Raises `SettingsError`, with a problem for each value.

    >>> look = docmail.look.Look("Example Ltd", colour="#0a5c8c", signature="Ann Adams\n+27 21 555 0101")
    >>> look.ink
    '#0a5c8c'
    >>> docmail.look.Look.PLAIN == docmail.look.Look()
    True
    """

    PLAIN: ClassVar[Look]
    """A look without anything: an ordinary letter."""

    name: str = ""
    logo: Any = field(default=None, repr=False, kw_only=True)
    """Its bytes, once it is read."""
    colour: str | None = field(default=None, kw_only=True)
    font: Any = field(default=None, repr=False, kw_only=True)
    """Its bytes, once it is read."""
    signature: str = field(default="", kw_only=True)
    footer: str = field(default="", kw_only=True)
    locale: str | None = field(default=None, kw_only=True)
    currency: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._settle()
        if advice := self.advice:
            warnings.warn(advice, stacklevel=3)

    @classmethod
    def again(cls, **values: Any) -> Look:
        """Return the look of values that were kept, checked like any others, but without advice.

        >>> docmail.look.Look.again(name="Example Ltd").name
        'Example Ltd'
        """
        made = object.__new__(cls)
        made.__dict__.update({each.name: values.get(each.name, each.default) for each in fields(cls)})
        made._settle()
        return made

    def _settle(self) -> None:
        problems = list(_problems(self.__dict__))
        if problems:
            raise SettingsError(
                " ".join(f"{problem.field}: {problem.message}" for problem in problems),
                problems=problems,
                guide=Guide.LOOKS,
                hint=_("Correct the look: docmail.look.Look(...)."),
            )

    @property
    def ink(self) -> str | None:
        """The colour for headings and links on white: `colour`, or a shade of it that can be read.

        >>> docmail.look.Look(colour="0a5c8c").ink
        '#0a5c8c'
        """
        return readable(self.colour) if self.colour else None

    @property
    def advice(self) -> str:
        """What one should know about this look; an empty text if there is nothing.

        >>> docmail.look.Look("Example Ltd").advice
        ''
        """
        if self.colour and (found := contrast(self.colour)) < ENOUGH:
            return _(
                "The colour {colour} is too light for text on white ({contrast:.1f} : 1, and {enough} : 1 is needed): "
                "headings and links have {ink} instead."
            ).format(colour=self.colour, contrast=math.floor(10 * found) / 10, enough=ENOUGH, ink=self.ink)
        return ""

    @property
    def picture(self) -> Logo | None:
        """The logo as mails carry it; None without one.

        >>> docmail.look.Look("Example Ltd").picture is None
        True
        """
        return logo_of(self.logo) if self.logo else None

    @property
    def has_letterhead(self) -> bool:
        """Whether something of it stands around the text of a mail, and not only below it.

        >>> docmail.look.Look("Example Ltd").has_letterhead, docmail.look.Look(signature="Ann").has_letterhead
        (True, False)
        """
        return bool(self.name or self.logo or self.colour)


def joined(own: Look | None, fixed: Look | None) -> Look:
    """Return a look in which what `fixed` says wins over one's `own`; None fixes nothing, and is no look.

    >>> docmail.look.joined(docmail.look.Look("Ann", footer="Regards"), docmail.look.Look("Example Ltd")).footer
    'Regards'
    """
    if own is None or fixed is None:
        return fixed or own or Look.PLAIN
    return _joined(own, fixed)


@lru_cache(8)
def _joined(own: Look, fixed: Look) -> Look:
    return Look.again(**{**vars(own), **{name: value for name, value in vars(fixed).items() if value}})


def checked(look: object) -> Look | None:
    """Return a look that somebody gives, or None; raises `SettingsError` for anything else.

    >>> docmail.look.checked(None) is None
    True
    """
    if look is None or isinstance(look, Look):
        return look
    raise SettingsError(
        _("A look is a docmail.look.Look, not {type}.").format(type=type(look).__name__),
        field="look",
        hint=_('Write look=docmail.look.Look("Example Ltd", ...), or look=docmail.look.Look.PLAIN for none.'),
    )


# --- what is wrong with the values ------------------------------------------------------------------------------------


def _problems(values: dict[str, Any]) -> Iterator[Problem]:
    """Settle each value, and yield what is wrong with it."""
    for name, settle in (
        ("name", _line),
        ("logo", _logo),
        ("colour", _colour),
        ("font", _font),
        ("signature", _signature),
        ("footer", _footer),
        ("locale", _locale),
        ("currency", _currency),
    ):
        try:
            values[name] = settle(values[name])
        except (TypeError, ValueError) as exc:
            yield Problem(name, str(exc))


def _text(value: object, limit: int) -> str:
    if not isinstance(value, str):
        raise TypeError(_("This must be text, not {type}.").format(type=type(value).__name__))
    text = with_line_feeds(value).strip("\n")
    if len(text) > limit:
        raise ValueError(_("This is longer than {limit} characters.").format(limit=limit))
    return text


def _line(value: object) -> str:
    text = _text(value, _MAX_NAME).strip()
    if control := first_control(text):
        raise ValueError(_("This contains the invisible character {code}; type it again.").format(code=control))
    return text


def _markdown(value: object, limit: int) -> str:
    text = _text(value, limit)
    if control := first_control(text, lines=True):
        raise ValueError(_("This contains the invisible character {code}; type it again.").format(code=control))
    if elements := elements_in(text):
        raise ValueError(
            _("This is HTML (<{element}>), and readers would see its tags; write Markdown.").format(
                element=min(elements)
            )
        )
    return text if text.strip() else ""


def _signature(value: object) -> str:
    text = _markdown(value, _MAX_SIGNATURE)
    if text.count("\n") >= _MAX_LINES:
        raise ValueError(
            _("The signature has more than {limit} lines; what the law wants below a mail can be the footer.").format(
                limit=_MAX_LINES
            )
        )
    return text


def _footer(value: object) -> str:
    return _markdown(value, _MAX_FOOTER)


def _colour(value: object) -> str | None:
    if value is None or value == "":
        return None
    found = normal(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(_("“{value}” is no colour; write one such as #0a5c8c.").format(value=str(value)[:40]))
    return found


def _locale(value: object) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not _LANGUAGE.fullmatch(value):
        raise ValueError(_("There is no locale “{locale}”.").format(locale=str(value)[:40]))
    try:
        signs_of(value)
    except (MessageError, ImportError) as exc:
        raise ValueError(exc.message if isinstance(exc, MessageError) else str(exc)) from exc
    return value.replace("_", "-")


def _currency(value: object) -> str | None:
    if value is None or value == "":
        return None
    code = value.strip().upper() if isinstance(value, str) else ""
    if code not in _CURRENCIES.split():
        raise ValueError(
            _("“{value}” is no currency; write its three letters, such as EUR or ZAR.").format(value=str(value)[:40])
        )
    return code


def _read(value: object, limit: int, example: str) -> bytes | None:
    """Return what a file holds, or the octets that were given; raises `ValueError` or `TypeError`."""
    if value is None or isinstance(value, bytes):
        return value or None
    if not isinstance(value, Path):
        raise TypeError(_("Give the path of a file, such as {example}.").format(example=example))
    path = Path(os.path.expanduser(value))  # noqa: PTH111 - unlike Path's, it leaves an unknown ~user as it is
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as exc:
        raise ValueError(
            _("The file {path} cannot be read: {reason}.").format(path=path, reason=reason_of(exc, path))
        ) from exc
    if not content:
        raise ValueError(_("The file {path} is empty.").format(path=path))
    return content


def _logo(value: object) -> bytes | None:
    content = _read(value, MAX_OCTETS, 'Path("logo.png")')
    if content is not None:
        try:
            checked_logo(content)
        except LogoError as exc:
            raise ValueError(str(exc)) from None
    return content


def _font(value: object) -> bytes | None:
    content = _read(value, _MAX_FONT, 'Path("Brand-Regular.ttf")')
    if content is not None:
        _check_font(content)
    return content


@lru_cache(8)
def _check_font(content: bytes) -> None:
    """Raise `ValueError` for what is no TrueType font that may be in a document."""
    if len(content) > _MAX_FONT:
        raise ValueError(_("The font is larger than {limit} MB.").format(limit=_MAX_FONT // 1_000_000))
    if content[:4] in {b"wOFF", b"wOF2"}:
        raise ValueError(_("The font is one for web pages (WOFF); give its TrueType file (.ttf)."))
    if content[:4] == b"ttcf":
        raise ValueError(_("The file holds several fonts (.ttc); give the TrueType file of one (.ttf)."))
    import uharfbuzz as harfbuzz

    try:
        face = harfbuzz.Face(harfbuzz.Blob(content))
        tables = set(face.table_tags)
        letters = face.unicodes
        rights = int.from_bytes(face.reference_table("OS/2").data[8:10], "big") if "OS/2" in tables else 0
    except (harfbuzz.HarfBuzzError, ValueError):
        tables, letters, rights = set(), set(), 0
    if tables and "glyf" not in tables and {"CFF ", "CFF2"} & tables:
        raise ValueError(_("The font has outlines of the PostScript kind (.otf); give its TrueType file (.ttf)."))
    if not letters or not {"glyf", "head", "hhea", "hmtx", "loca", "maxp"} <= tables:
        raise ValueError(_("The font is no TrueType font, or is damaged; give a file that ends in .ttf."))
    if rights & _NO_EMBEDDING:
        raise ValueError(_("The owner of this font does not let it be part of documents; choose another."))


Look.PLAIN = Look()
