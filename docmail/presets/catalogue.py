"""Knows the providers: which servers they have, what they accept as a password, and the guide to read.

The facts are data (`presets.toml`, dated) and text (`guides/*.md`, in English; `guides/af/*.md` are the same files in
Afrikaans, in which the ID of the English section stands beside each heading), read at the first look-up. An unknown
server or domain gives None: docmail works with every server, known or not. Words in a `Preset` are English: whoever
shows one says it with `_()`, as `_(preset.password_hint)`.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

from docmail.errors import DocmailError
from docmail.language import _, current

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import date
    from importlib.resources.abc import Traversable

    from docmail.presets.services import Service

_LABEL = r"[a-z0-9_-]+"
# yahoo.co.uk is Yahoo's, yahoo.example.com is anybody's: a final "*" is a public suffix, not "the rest".
_SUFFIX = r"(?:com|[a-z]{2}|(?:com|co)\.[a-z]{2})"


class UnknownNameError(DocmailError, KeyError):
    """No preset or guide has this name; the hint says which come near."""


@dataclass(frozen=True)
class Server:
    """One way to reach a provider."""

    host: str
    port: int
    security: Literal["tls", "starttls"]

    @property
    def complete(self) -> bool:
        """Whether the host can be used as it is (False: the user replaces its word in capitals, REGION)."""
        return self.host == self.host.lower()


@dataclass(frozen=True)
class Limits:
    """What a provider takes at most (None: not known); `approximate` names those to be shown with "about"."""

    per_minute: int | None = None
    per_day: int | None = None
    recipients_per_message: int | None = None
    message_bytes: int | None = None
    approximate: tuple[str, ...] = ()


@dataclass(frozen=True)
class Preset:
    """What docmail knows about one provider; the fields are explained at the top of `presets.toml`."""

    id: str
    name: str
    checked: date
    servers: tuple[Server, ...]
    guide: str
    username: str
    password: Literal["app-password", "account", "api-key", "bridge", "oauth"]
    password_hint: str
    established: bool
    oauth: bool
    sign_in: Literal["password", "microsoft", "google"] = "password"
    password_form: str | None = None
    domains: tuple[str, ...] = ()
    not_domains: tuple[str, ...] = ()
    mx: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict, hash=False)
    limits: Limits = Limits()


@dataclass(frozen=True)
class Guide:
    """A section of the guides: its heading, and its Markdown from there to the next heading of that level.

    `id` is the same in every language: that beside the heading (`# Poorte <!-- ports -->`), or the heading's own words.
    """

    title: str
    markdown: str
    id: str = ""

    def _repr_markdown_(self) -> str:
        """Return what a notebook shows of it, for those whom an error has sent here."""
        return self.markdown


@cache
def presets() -> tuple[Preset, ...]:
    """Return every provider that docmail knows, in the order in which a form should list them."""
    text = resources.files("docmail.presets").joinpath("presets.toml").read_text(encoding="utf-8")
    for entry in (entries := tomllib.loads(text)["preset"]):
        entry["servers"] = [Server(**server) for server in entry["servers"]]
        entry["limits"] = Limits(**_frozen(entry["limits"]))
    return tuple(Preset(**_frozen(entry)) for entry in entries)


def _frozen(table: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


def by_name(name: str) -> Preset:
    """Return the preset of this name or id, whatever its capitals; raise a KeyError if there is none."""
    known = {key: preset for preset in presets() for key in (preset.id, preset.name.casefold())}
    if preset := known.get(name.strip().casefold()):
        return preset
    raise _unknown(_("docmail has no preset called “{name}”."), name, [preset.name for preset in presets()])


def by_address(address: str) -> Preset | None:
    """Return the provider of this email address, judged by its domain alone."""
    _local, at, domain = address.rpartition("@")
    preset = _best(domain, lambda preset: preset.domains) if at else None
    return preset if preset and _clean(domain) not in preset.not_domains else None


def by_host(host: str, port: int | None = None) -> Preset | None:
    """Return the provider whose mail server this is; one on this computer is known only with its port."""
    here = (_clean(host), port)
    exact = (each for each in presets() if here in [(server.host, server.port) for server in each.servers])
    return next(exact, None) or _best(host, _hosts)


def by_mx(mx_host: str) -> Preset | None:
    """Return the provider behind a company's own domain, judged by a host of its MX records."""
    return _best(mx_host, lambda preset: preset.mx)


def established(host: str) -> Preset | None:
    """Return the provider if its certificates can always be verified, so that a fingerprint is refused."""
    preset = by_host(host)
    return preset if preset and preset.established else None


def size_limit(host: str, port: int) -> int | None:
    """Return how many octets a mail may have on the wire with the provider of this server; None if not known.

    There an attachment takes 37 % more than its file (base64, RFC 2045 6.8): compare it with `Mail.size`.
    """
    preset = by_host(host, port)
    return preset.limits.message_bytes if preset else None


def tidy_password(host: str, text: str) -> str:
    """Return a password without the blanks that this host's provider only displays, any other unchanged."""
    preset = by_host(host)
    words = text.split()  # also at no-break spaces and line ends, which come along from a web page
    if preset and preset.password_form and re.fullmatch(preset.password_form, " ".join(words)):
        return "".join(words)
    return text


def guide(heading: str) -> Guide:
    """Return the section under this heading in the current language; raise a KeyError if there is none.

    Errors name English headings; the heading in the current language does as well, and capitals do not matter.
    """
    sections = _sections(current())
    wanted = heading.strip().casefold()
    if wanted in sections:
        return sections[wanted]
    for section in sections.values():
        if section.title.casefold() == wanted:
            return section
    raise _unknown(_("docmail has no guide called “{name}”."), heading, guides())


def guides() -> tuple[str, ...]:
    """Return the headings of all guides in the current language, each usable with `guide()`."""
    return tuple(section.title for section in _sections(current()).values())


def steps(preset: Preset | Service) -> Guide:
    """Return how to set up this provider or mail service: the numbered steps that a form shows beside its fields."""
    return guide(f"How do I set up {preset.guide}?")


def messages() -> Iterator[str]:
    """Yield what a translator has to translate in `presets.toml`; some of it several times."""
    for preset in presets():
        if preset.name != preset.guide:  # otherwise it is a proper name alone
            yield preset.name
        yield preset.password_hint
        yield from preset.links


@cache
def _sections(language: str) -> dict[str, Guide]:
    """Return the sections in this language by their English headings; what is not translated is English."""
    folder = resources.files("docmail.presets").joinpath("guides")
    found: dict[str, Guide] = {}
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".md"):
            english = _cut(file)
            translated = folder.joinpath(language, file.name)
            said = {each.id: each for each in (_cut(translated) if translated.is_file() else ())}
            found |= {each.title.casefold(): said.get(each.id, each) for each in english}
    return found


def _cut(file: Traversable) -> list[Guide]:
    """Return the sections of a file, each from its heading to the next of the same or a higher level."""
    text = file.read_text(encoding="utf-8")
    headings = list(re.finditer(r"^(#+) +(.+?)(?: *<!-- *(\w+) *-->)? *$", text, re.MULTILINE))
    sections = []
    for index, heading in enumerate(headings):
        ends = (other.start() for other in headings[index + 1 :] if len(other[1]) <= len(heading[1]))
        section = text[heading.start() : next(ends, len(text))].strip()
        markdown = re.sub(r"^(#.*?) *<!-- *\w+ *-->", r"\1", section, flags=re.MULTILINE)
        own_words = re.sub(r"\W+", "_", heading[2].casefold()).strip("_")
        sections.append(Guide(heading[2], f"{markdown}\n", heading[3] or own_words))
    return sections


def _hosts(preset: Preset) -> Iterable[str]:
    # 127.0.0.1 may be anything, and a host with a word in capitals is a form to fill in, not a name.
    named = [server.host for server in preset.servers if server.complete]
    return [*(host for host in named if not host.startswith("127.")), *preset.hosts]


def _best(name: str, patterns: Callable[[Preset], Iterable[str]]) -> Preset | None:
    # The longest pattern tells most (gmail-smtp-in.l.google.com, not *.google.com); of equals the first wins.
    pairs = ((pattern, preset) for preset in presets() for pattern in patterns(preset))
    found = [pair for pair in pairs if _regex(pair[0]).fullmatch(_clean(name))]
    return max(found, key=lambda pair: len(pair[0]))[1] if found else None


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    first, *middle, last = pattern.split(".")
    stars = [(first, rf"{_LABEL}(?:\.{_LABEL})*"), *((label, _LABEL) for label in middle), (last, _SUFFIX)]
    return re.compile(r"\.".join(star if label == "*" else re.escape(label) for label, star in stars))


def _clean(host: str) -> str:
    return host.strip().lower().removesuffix(".")


def _unknown(sentence: str, name: str, names: Sequence[str]) -> UnknownNameError:
    near = difflib.get_close_matches(name.casefold(), [known.casefold() for known in names], n=3)
    meant = [known for known in names if known.casefold() in near] or names
    hint = _("Choose one of: {names}.").format(names=", ".join(meant))
    return UnknownNameError(sentence.format(name=name), hint=hint)
