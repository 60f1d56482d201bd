"""Reads host names and email addresses as people paste them, and refuses the rest in a sentence.

Local parts are judged by email-validator, domains and hosts by idna: `.local` and other names of a company's own
network, which validators of public addresses refuse, are fine here.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING
from urllib.parse import unquote

from docmail.errors import AddressError
from docmail.language import _

if TYPE_CHECKING:
    from collections.abc import Iterable

# Zero-width characters and byte order marks come along when people copy from web pages; str.strip() keeps them.
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"
# Unicode's categories Cc, Cs, Zl and Zp; and the marks that turn the direction of writing.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_CONTROLS_IN_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")

_MAX_ADDRESS = 254  # RFC 5321 4.5.3.1.3: a path is at most 256 octets, with its angle brackets
_MAX_LOCAL = 64  # RFC 5321 4.5.3.1.1
MAX_NAME = 255  # longer display names are pasted text, not names
_MAX_TEXT = 1000  # of a name with its address; nothing longer is looked at, because that takes time
_MAX_LABEL, _MAX_HOST = 63, 253  # RFC 1035 2.3.4
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")
# Dot-string of RFC 5321 4.1.2: what nearly every local part is, and no checker refuses.
_PLAIN_LOCAL = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*", re.IGNORECASE | re.ASCII)
_SPLITTING = re.compile(r"""[;,"<>\\]""")


def trimmed(text: str) -> str:
    """Return pasted text without the blanks around it, visible or not."""
    if text.isascii():
        return text.strip()
    return text.strip(_INVISIBLE + "".join({character for character in text if character.isspace()}))


def first_control(text: str, *, lines: bool = False) -> str | None:
    """Return the name of the first character that no line of text may hold (`U+000A`), or None.

    Counted are control characters, line and paragraph separators, lone surrogates, and the marks that turn the
    direction of writing, with which one name can be made to look like another. With `lines`, line feeds, tabs and these
    marks are allowed.
    """
    found = (_CONTROLS_IN_LINES if lines else _CONTROLS).search(text)
    return f"U+{ord(found[0]):04X}" if found else None


def unlinked(text: str) -> str:
    """Return the address of a link (`mailto:`, RFC 6068), as a cell of Excel may hold it; any other text unchanged.

    “mailto:a@example.com?subject=Hello” is a@example.com; Outlook copies “a@example.com<mailto:a@example.com>”.
    """
    link = re.fullmatch(r"(?P<name>[^<>]*)<?mailto:(?P<address>[^<>?]+)(?:\?[^<>]*)?>?", trimmed(text), re.IGNORECASE)
    if not link:
        return text
    name, address = trimmed(link["name"]), trimmed(unquote(link["address"]))
    return f"{name} <{address}>" if name and name.lower() != address.lower() else address


@lru_cache(maxsize=256)  # the recipients of a batch have few domains
def ascii_host(host: str) -> str:
    """Return a host name or IP address as it is written on the wire: lower case, IDNA, IPv6 without brackets.

    Raises `ValueError` with a sentence that says what is wrong with it.
    """
    if control := first_control(host):
        raise ValueError(_("The name contains the invisible character {code}; type it again.").format(code=control))
    if "://" in host or "/" in host:
        raise ValueError(_("Give only the server's name, without {scheme} and slashes.").format(scheme="https://"))
    if number := _ip(host[1:-1] if host.startswith("[") and host.endswith("]") else host):
        return str(number)
    if ":" in host:
        raise ValueError(_("Give only the server's name here; the port has a field of its own."))
    if "@" in host:
        raise ValueError(_("This is an email address; the server's name looks like smtp.example.com."))
    name = host.removesuffix(".")
    if not name:
        raise ValueError(_("The server's name is missing."))
    if len(name) > _MAX_HOST:
        raise ValueError(_("This is too long for a server's name."))
    return _ascii_name(name)


def _ip(text: str) -> IPv4Address | IPv6Address | None:
    try:
        number = ip_address(text)
    except ValueError:
        return None
    # Python takes anything as the zone of an IPv6 address; it is the name of a network interface (RFC 4007 11.2).
    zone = number.scope_id if isinstance(number, IPv6Address) else None
    return number if zone is None or re.fullmatch(r"[\w.-]+", zone, re.ASCII) else None


def _ascii_name(host: str) -> str:
    name = host
    if not name.isascii():
        import idna  # only for the few names that need it

        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except idna.IDNAError:
            raise ValueError(_("“{host}” is not a server's name.").format(host=host)) from None
    name = name.lower()
    labels = name.split(".")
    if len(name) > _MAX_HOST or any(len(label) > _MAX_LABEL or not _LABEL.fullmatch(label) for label in labels):
        raise ValueError(_("“{host}” is not a server's name.").format(host=host))
    if labels[-1].isdigit():
        # Such a name can only be a mistyped IPv4 address (RFC 1123 2.1).
        raise ValueError(_("“{host}” is not a complete IP address.").format(host=host))
    return name


def is_loopback(host: str) -> bool:
    """Say whether the host is this computer itself, by its name or number."""
    if (number := _ip(host)) is None:
        return host == "localhost"
    mapped = number.ipv4_mapped if isinstance(number, IPv6Address) else None
    return (mapped or number).is_loopback


@dataclass(frozen=True)
class Address:
    """One mailbox: a display name, perhaps empty, and an addr-spec split at its `@` (the domain in ASCII)."""

    name: str
    local: str
    domain: str

    @property
    def addr_spec(self) -> str:
        """The bare address, as it stands in the envelope."""
        return f"{self.local}@{self.domain}"

    @property
    def mailbox(self) -> str:
        """The bare address in small letters, by which one recipient is distinguished from another."""
        # RFC 5321 2.4 lets a server distinguish "Anna" from "anna"; none does. casefold() would also make one of ß
        # and ss.
        return self.addr_spec.lower()

    @property
    def needs_smtputf8(self) -> bool:
        """Whether a server must offer SMTPUTF8 (RFC 6531) for this address."""
        return not self.local.isascii()

    @property
    def shown(self) -> str:
        """The bare address as a person writes it, with the domain in its own script."""
        if "xn--" not in self.domain:
            return self.addr_spec
        import idna

        try:
            return f"{self.local}@{idna.decode(self.domain)}"
        except idna.IDNAError:
            return self.addr_spec

    def __str__(self) -> str:
        if not self.name:
            return self.addr_spec
        if re.fullmatch(r"[\w !#$%&'*+/=?^`{|}~-]+", self.name):
            return f"{self.name} <{self.addr_spec}>"
        quoted = self.name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{quoted}" <{self.addr_spec}>'


def parse_address(text: str, field: str) -> Address:
    """Return the one address in the text: `a@example.com` or `Name <a@example.com>`.

    Raises `AddressError` naming the field.
    """
    pieces = _split(text, field)
    if len(pieces) != 1:
        raise AddressError(
            _("“{text}” is not one email address.").format(text=_short(text)),
            address=text,
            field=field,
            hint=_hint_for_several(text, pieces, field) if pieces else _("An address looks like name@example.com."),
        )
    return _one(pieces[0], field)


def parse_addresses(value: str | Address | Iterable[str | Address], field: str) -> tuple[Address, ...]:
    """Return the addresses in a text, or in a list whose items are one address each.

    A text may hold several, separated by `;` or `,` outside quotes. An item of a list is never split: what comes out
    of a data set must not turn into more recipients. Doubles (by address) are dropped, the first one stays.

    Raises `AddressError` naming the field.
    """
    if isinstance(value, Address):
        value = [value]
    if isinstance(value, str):
        if line := _quoted(value, field):
            raise AddressError(
                _("“{text}” contains a name with a comma that is not in quotation marks.").format(text=_short(value)),
                address=value,
                field=field,
                hint=_("Put the name in quotes: {line}.").format(line=line),
            )
        found = [_one(piece, field) for piece in _split(value, field)]
    elif isinstance(value, (bytes, bytearray, Mapping)):  # of a dict, the names would be lost
        raise _not_text(value, field)
    else:
        try:
            items = iter(value)
        except TypeError:
            raise _not_text(value, field) from None
        found = [_item(item, field) for item in items]
    unique: dict[str, Address] = {}
    for address in found:
        unique.setdefault(address.mailbox, address)
    return tuple(unique.values())


def pasted(text: str) -> list[str]:
    """Return the addresses in a text as people paste them, one each, without a look at whether they are any.

    They stand in lines, in a table, or behind each other as a mail program copies them, where a name with a comma may
    stand without quotation marks (`Smith, J <j@example.com>; …`). Of the row of a table that has addresses only these
    are taken, with the name if that is the only other cell; heads of columns are none.
    """
    rows = [cells for line in _ROWS.split(text) if (cells := _cells(line))]
    if len(rows) > 1 and "@" in "".join(rows[1]) and (len(rows[0]) > 1 or _HEAD.fullmatch(rows[0][0])):
        rows = rows[0 if "@" in "".join(rows[0]) else 1 :]
    return [unlinked(piece) for cells in rows for cell in _addresses_of(cells) for piece in _pieces_of(cell)]


def _cells(line: str) -> list[str]:
    cells = (_LIST_MARK.sub("", cell.strip(_AROUND)) for cell in line.split("\t"))
    return [_IN_QUOTES.sub(r"\1", cell) for cell in cells if cell]


def _addresses_of(cells: list[str]) -> list[str]:
    """Return what is an address in the row of a table, or looks as if it were to be one."""
    found = [cell for cell in cells if "@" in cell]
    others = [cell for cell in cells if "@" not in cell]
    if not found:
        return cells
    if len(found) == len(others) == 1 and _PART_OF_NAME.fullmatch(others[0]) and not set(found[0]) & set('<>" ;,'):
        name = others[0].replace("\\", "")
        return [f"{name} <{found[0]}>" if _PLAIN_NAME.fullmatch(name) else f'"{name}" <{found[0]}>']
    return found


_ROWS = re.compile(r"[\n\r\v\f\x85\u2028\u2029]+")
_LIST_MARK = re.compile(r"^(?:[•‣·▪*\u2013-]|\d{1,4}[.)])[ \u00a0]+")
_IN_QUOTES = re.compile(r'^"([^"\s]+@[^"\s]+)"$')  # as it stands in a CSV file
_PLAIN_NAME = re.compile(r"[\w' -]+")
_HEAD = re.compile(
    r"mail|e-?mails?|e-?pos|(e-?mail )?address(es)?|(e-?pos ?)?adres(se)?|recipients?|ontvangers?", re.IGNORECASE
)
# Windows and mail programs put marks of the direction of writing around what is copied.
_AROUND = f" \u00a0\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069{_INVISIBLE}"


def _pieces_of(line: str) -> list[str]:
    try:
        pieces = _split(line, "to")
    except AddressError:
        return [line]  # a quotation mark is not closed
    found: list[str] = []
    for piece in pieces:
        # What is no address and stands before “J <j@example.com>” is the first half of its name.
        before = found[-1] if found else ""
        if before and _PART_OF_NAME.fullmatch(before) and (named := _NAMED_ADDRESS.fullmatch(piece)):
            quoted = f"{before}, {named['name']}".replace("\\", "\\\\").replace('"', '\\"')
            found[-1] = f'"{quoted}" <{named["address"]}>'
        else:
            words = piece.split()
            blanks_between = all("@" in word for word in words) and not set(piece) & set('<>"')
            found += words if blanks_between else [piece]
    return found


_PART_OF_NAME = re.compile(r"[^\W\d_][^@<>\";,]*")
_NAMED_ADDRESS = re.compile(r"(?P<name>[^\W\d_][^@<>\";,]*?)\s*<(?P<address>[^<>@\s]+@[^<>@\s]+)>")


def _item(item: object, field: str) -> Address:
    if isinstance(item, (str, Address)):  # an Address can have been made with anything in it
        return parse_address(str(item), field)
    raise _not_text(item, field)


def _not_text(value: object, field: str) -> AddressError:
    return AddressError(
        _("An address must be text, not {type}.").format(type=type(value).__name__),
        field=field,
        hint=_('Write it in quotes, such as "cfo@example.com".'),
    )


def _split(text: str, field: str) -> list[str]:
    """Cut at `;` and `,` that stand outside quotes and angle brackets."""
    if not _SPLITTING.search(text):
        return [stripped] if (stripped := trimmed(text)) else []
    pieces: list[str] = []
    piece: list[str] = []
    quoted = angled = escaped = False
    for character in text:
        if escaped:
            escaped = False
        elif character == "\\" and quoted:
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == "<" and not quoted:
            angled = True
        elif character == ">" and not quoted:
            angled = False
        elif character in ",;" and not quoted and not angled:
            pieces.append("".join(piece))
            piece = []
            continue
        piece.append(character)
    if quoted:
        raise AddressError(
            _("“{text}” contains a quotation mark that is not closed.").format(text=_short(text)),
            address=text,
            field=field,
            hint=_('Write a name with a comma as "Smith, J" <j@example.com>.'),
        )
    pieces.append("".join(piece))
    return [stripped for piece in pieces if (stripped := trimmed(piece))]


_NAMED = re.compile(r"(?P<name>.*?)\s*<(?P<address>[^<>]*)>", re.DOTALL)
_NAME_WITH_COMMA = re.compile(r"(?P<name>[^<>@\";]*,[^<>@\";]*?)\s*<(?P<address>[^<>@\s]+@[^<>@\s]+)>")


def _quoted(text: str, field: str) -> str | None:
    """Return a text with each name that holds a comma in quotation marks; None if none needs them."""
    if "," not in text or "<" not in text or len(text) > _MAX_TEXT:
        return None
    pieces = [trimmed(piece) for piece in text.split(";")]
    named = [_NAME_WITH_COMMA.fullmatch(piece) for piece in pieces]
    # A comma at an end separates addresses.
    found = [
        match if match and trimmed(match["name"]).strip(",") == trimmed(match["name"]) else None for match in named
    ]
    if not any(found):
        cut, joined = _split(text, field), _pieces_of(text)
        return "; ".join(joined) if len(joined) < len(cut) else None
    lines = (
        f'"{trimmed(match["name"])}" <{match["address"]}>' if match else piece
        for match, piece in zip(found, pieces, strict=True)
    )
    return "; ".join(filter(None, lines))


def _hint_for_several(text: str, pieces: list[str], field: str) -> str:
    """Return the line that does it right, where one address is wanted and several are there, or perhaps one."""
    if line := _quoted(text, field):
        return _("Put the name in quotes: {line}.").format(line=line)
    if all("@" in piece for piece in pieces) and len(text) <= _MAX_TEXT:
        return _list_of(pieces)
    return _('Give exactly one; put a name with a comma in quotes: "Smith, J" <j@example.com>.')


def _list_of(pieces: list[str]) -> str:
    several = ", ".join(f'"{piece}"' if '"' not in piece else f"'{piece}'" for piece in pieces)
    return _("For several, give a list: [{addresses}].").format(addresses=several)


def _one(text: str, field: str) -> Address:
    if len(text) > _MAX_TEXT:
        raise _invalid(text, field)
    if control := first_control(text):
        raise _with_control(text, field, control)
    named = _NAMED.fullmatch(text)
    name, addr_spec = (named["name"], trimmed(named["address"])) if named else ("", text)
    name = trimmed(name)
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = trimmed(re.sub(r"\\(.)", r"\1", name[1:-1]))
    if len(name) > MAX_NAME:
        raise AddressError(
            _("The name before {address} is longer than {limit} characters.").format(
                address=_short(addr_spec), limit=MAX_NAME
            ),
            address=text,
            field=field,
            hint=_("Shorten it."),
        )
    local, at, domain = addr_spec.rpartition("@")
    if not at or not local or not domain:
        raise _invalid(text, field)
    address = Address(name, _local_part(local, text, field), _domain(domain, text, field))
    if len(address.addr_spec.encode()) > _MAX_ADDRESS:
        raise _invalid(text, field)
    return address


def _local_part(local: str, text: str, field: str) -> str:
    if len(local) <= _MAX_LOCAL and _PLAIN_LOCAL.fullmatch(local):
        return local
    from email_validator import EmailNotValidError, validate_email

    try:
        # Only the local part is judged here; see the top of this file.
        checked = validate_email(f"{local}@example.com", check_deliverability=False, allow_quoted_local=True)
    except EmailNotValidError:
        raise _invalid(text, field) from None
    if len(local.encode()) > _MAX_LOCAL:  # in octets, which the validator does not count
        raise _invalid(text, field)
    return checked.local_part


def _domain(domain: str, text: str, field: str) -> str:
    if domain.startswith("["):
        number = _ip(domain[1:-1].removeprefix("IPv6:")) if domain.endswith("]") else None
        if number is None or "%" in domain:  # a zone means nothing to another computer
            raise _invalid(text, field)
        return f"[IPv6:{number}]" if isinstance(number, IPv6Address) else f"[{number}]"
    try:
        host = ascii_host(domain)
    except ValueError:
        raise _invalid(text, field) from None
    if "_" in host or (("." not in host or ":" in host or host[-1].isdigit()) and host != "localhost"):
        # “boss@company” is a forgotten ending far more often than a mail host without one.
        raise _invalid(text, field)
    return host


def _invalid(text: str, field: str) -> AddressError:
    several = _ADDRESSES.findall(text[:_MAX_TEXT])
    if len(several) < 2 and (hidden := _first_hidden(text.rpartition("<")[2])):  # noqa: PLR2004 - several
        return _with_control(text, field, hidden)
    return AddressError(
        _("“{text}” is not an email address.").format(text=_short(text)),
        address=text,
        field=field,
        hint=_list_of(several) if len(several) > 1 else _("An address looks like name@example.com."),
    )


_ADDRESSES = re.compile(r"[^\s@<>()\[\],;:|/\"']{1,64}@[^\s@<>()\[\],;:|/\"'.]{1,63}\.[^\s@<>()\[\],;:|/\"']{1,190}")


def _first_hidden(text: str) -> str | None:
    """Return the name of the first character that nobody sees, such as a soft hyphen or a zero-width space."""
    found = (each for each in text if not each.isascii() and (each.isspace() or unicodedata.category(each) == "Cf"))
    return next((f"U+{ord(each):04X}" for each in found), None)


def _with_control(text: str, field: str, code: str) -> AddressError:
    return AddressError(
        _("“{text}” contains the invisible character {code}.").format(text=_short(text), code=code),
        address=text,
        field=field,
        hint=_("Type the address again."),
    )


def _short(text: str, limit: int = 60) -> str:
    visible = "".join(character if first_control(character) is None else "·" for character in text[: limit + 1])
    return visible if len(visible) <= limit else visible[: limit - 1] + "…"


def scheme_of(url: str) -> str:
    """Return the scheme of a link as a browser reads it ("https"), which skips what cannot be seen; "" for none."""
    seen = "".join(sign for sign in html.unescape(url) if sign > " " and sign.isprintable())
    found = re.match(r"([a-z][a-z0-9+.-]*):", seen, re.IGNORECASE | re.ASCII)
    return found[1].lower() if found else ""


def is_web_address(url: str) -> bool:
    """Say whether a link leads to a web server, and so starts no program and runs no script."""
    return scheme_of(url) in {"http", "https"} and "//" in url
