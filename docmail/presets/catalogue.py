"""Knows the providers: which servers they have, what they accept as a password, and the guide to read.

The facts are data (`presets.toml`, dated) and text (`guides/*.md`, in English; `guides/af/*.md` are the same files in
Afrikaans, in which the ID of the English section stands beside each heading), read at the first look-up. An unknown
server or domain gives None: docmail works with every server, known or not. Sentences in a `Preset` are English
and translated where they are shown, as `_(preset.password_hint)`.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from docmail.addresses import is_loopback
from docmail.errors import DocmailError
from docmail.language import _, current
from docmail.presets import services
from docmail.presets.organisation import current_organisation
from docmail.presets.preset import Preset, best, built_in, clean, of_address
from docmail.secret import unseen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from importlib.resources.abc import Traversable

    from docmail.presets.services import Service

_SIGN_IN = {
    "login.microsoftonline.com": "Microsoft",
    "accounts.google.com": "Google",
    "oauth2.googleapis.com": "Google",
}

_found: dict[str, str] = {}  # the domain for which a search has found a server


class UnknownNameError(DocmailError, KeyError):
    """No preset or guide has this name; the hint says which come near."""


@dataclass(frozen=True)
class Guide:
    """A section of the guides: its `title`, and its `markdown` from there to the next heading of that level.

    `id` is the same in every language: that beside the heading (`# Poorte <!-- ports -->`), or the heading's own words.

    >>> docmail.presets.guide("Ports").markdown[:7]
    '# Ports'
    """

    title: str
    markdown: str
    id: str = ""

    def _repr_markdown_(self) -> str:
        """Return what a notebook shows of it, for those whom an error has sent here."""
        return self.markdown


def presets() -> tuple[Preset, ...]:
    """Return every provider that docmail knows, in the order of a form: the organisation's own first.

    >>> [preset.name for preset in docmail.presets.presets()][:2]
    ['Gmail', 'Google Workspace']
    """
    return (*(provider.preset for provider in current_organisation().providers), *built_in())


def by_name(name: str) -> Preset:
    """Return the preset of this name or id, whatever its capitals; raise a KeyError if there is none.

    >>> docmail.presets.by_name("gmail").servers[0].host
    'smtp.gmail.com'
    """
    known = {key: preset for preset in presets() for key in (preset.id, preset.name.casefold())}
    if preset := known.get(name.strip().casefold()):
        return preset
    raise _unknown(_("docmail has no preset called “{name}”."), name, [preset.name for preset in presets()])


def by_address(address: str) -> Preset | None:
    """Return the provider of this email address, judged by its domain alone.

    >>> docmail.presets.by_address("ann@gmail.com").name
    'Gmail'
    """
    return of_address(address, presets())


def by_host(host: str, port: int | None = None) -> Preset | None:
    """Return the provider whose mail server `host` is; one on this computer is known only with its `port`.

    >>> docmail.presets.by_host("smtp.gmail.com").name
    'Gmail'
    """
    here = (clean(host), port)
    exact = (
        each
        for each in presets()
        if here in [*((server.host, server.port) for server in each.servers), (each.imap_host, each.imap_port)]
    )
    return next(exact, None) or best(host, _hosts, presets())


def of_account(host: str, address: str, port: int | None = None) -> Preset | None:
    """Return the provider of an account at a mail server (`host`, `port`): of several there, that of its `address`.

    Gmail and Google Workspace share a server, and other limits hold for each.

    >>> docmail.presets.of_account("smtp.gmail.com", "ann@example.com").name
    'Google Workspace'
    """
    found = by_host(host, port)
    if found is None:
        return None
    there = [each for each in presets() if {*each.servers} & {*found.servers}]
    own = by_address(address)
    if own in there:
        return own
    public = [each for each in there if not each.organisation]  # the organisation's limits are for its own addresses
    return next((each for each in public if not each.domains), next(iter(public), found))


def by_mx(mx_host: str) -> Preset | None:
    """Return the provider behind a company's own domain, judged by a host of its MX records (`mx_host`).

    >>> docmail.presets.by_mx("aspmx.l.google.com").name
    'Google Workspace'
    """
    return best(mx_host, lambda preset: preset.mx, presets())


def established(host: str) -> Preset | None:
    """Return the provider of `host` if its certificates can always be verified, so that a fingerprint is refused.

    >>> docmail.presets.established("mail.example.com") is None
    True
    """
    preset = by_host(host)
    return preset if preset and preset.established else None


def same_owner(host: str, other: str) -> bool:
    """Say whether the server `host` and an `other` one belong to one owner: this computer, a provider, or a domain.

    >>> docmail.presets.same_owner("smtp.office365.com", "outlook.office365.com")
    True
    >>> docmail.presets.same_owner("smtp.example.com", "imap.example.org")
    False
    """
    if is_loopback(host) or is_loopback(other):
        return is_loopback(host) and is_loopback(other)
    preset = by_host(host)
    if preset is not None and (clean(other) == preset.imap_host or preset == by_host(other)):
        return True
    return _domain_of(host) == _domain_of(other)


def host_of(service: Service) -> str:
    """Return the server of the provider whose mailboxes a mail service sends from; without such, the service's own.

    >>> docmail.presets.host_of(docmail.presets.services.by_api("graph"))
    'smtp.office365.com'
    """
    owners = (preset for preset in built_in() if service.has_mailbox and preset.service == service.api)
    owner = next((preset for preset in owners if not preset.domains or preset.established), None)
    return owner.servers[0].host if owner else service.host


def _domain_of(host: str) -> str:
    """Return what is registered of a name: its last two labels, three below co.uk and the like; a number is itself."""
    labels = clean(host).split(".")
    if labels[-1].isdigit() or ":" in host:
        return host
    few = 3 if len(labels[-1]) == 2 and len(labels[-2:][0]) <= 3 else 2  # noqa: PLR2004
    return ".".join(labels[-few:])


def take_note(host: str, domain: str) -> None:
    """Remember, as long as this process lives, a server (`host`) that a search has found for a domain.

    >>> docmail.presets.take_note("mail.host.example", "example.com")
    >>> docmail.presets.owner_of("mail.host.example")
    'example.com'
    """
    _found[host.lower()] = domain


def owner_of(host: str) -> str | None:
    """Return whose server `host` is, if docmail has filled it in; None for what a person has typed.

    Nobody is sent to look for a typing error in such a name.

    >>> docmail.presets.owner_of("smtp.gmail.com")
    'Gmail'
    """
    host = host.lower()
    # A pattern such as *.gmail.com fits names with a typing error as well.
    preset = by_host(host)
    if preset and host in {*(server.host for server in preset.servers), *preset.hosts, preset.imap_host}:
        return _(preset.name)
    service = next((each for each in services.SERVICES if each.host == host), None)
    if service is None and host in services.MAILGUN_REGIONS.values():
        service = services.by_api("mailgun")
    return service.name if service else _SIGN_IN.get(host) or _found.get(host)


def size_limit(host: str, port: int) -> int | None:
    """Return how many octets a mail may have on the wire with the provider of `host` and `port`; None if not known.

    There an attachment takes 37 % more than its file (base64, RFC 2045 6.8): compare it with `Mail.size`.

    >>> docmail.presets.size_limit("smtp.gmail.com", 587)
    25000000
    """
    preset = by_host(host, port)
    return preset.limits.message_bytes if preset else None


@unseen
def tidy_password(host: str, text: str) -> str:
    """Return the password `text` without the blanks that the provider of `host` only displays, any other unchanged.

    >>> docmail.presets.tidy_password("smtp.gmail.com", "abcd efgh ijkl mnop")
    'abcdefghijklmnop'
    """
    preset = by_host(host)
    words = text.split()  # also at no-break spaces and line ends, which come along from a web page
    if preset and preset.password_form and re.fullmatch(preset.password_form, " ".join(words)):
        return "".join(words)
    return text


def guide(heading: str) -> Guide:
    """Return the section under this heading in the current language; raise a KeyError if there is none.

    Errors name English headings; the heading in the current language does as well, and capitals do not matter.

    >>> docmail.presets.guide("ports").title
    'Ports'
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
    """Return the headings of all guides in the current language, each usable with `guide()`.

    >>> "Ports" in docmail.presets.guides()
    True
    """
    return tuple(section.title for section in _sections(current()).values())


def steps(preset: Preset | Service) -> Guide:
    """Return how to set up a provider or mail service (`preset`): the steps that a form shows beside its fields.

    >>> docmail.presets.steps(docmail.presets.by_name("Gmail")).title
    'How do I set up Gmail?'
    """
    if isinstance(preset, Preset) and preset.organisation:
        title = _("How do I set up {provider}?").format(provider=preset.name)
        if preset.text:
            return Guide(title, f"## {title}\n\n{preset.text}\n")
        if not preset.guide:
            steps = _("Your organisation has set this up: type your address and what is left of the form.")
            return Guide(title, f"## {title}\n\n{steps}\n")
    return guide(f"How do I set up {preset.guide}?")


def messages() -> Iterator[str]:
    """Yield what a translator has to translate in `presets.toml`; some of it several times.

    >>> "app password, 16 letters" in docmail.presets.messages()
    True
    """
    for preset in built_in():
        if preset.name != preset.guide:  # otherwise it is a proper name alone
            yield preset.name
        yield preset.password_hint
        yield from filter(None, (preset.notice, preset.password_note))


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
    return [*(host for host in [*named, preset.imap_host] if host and not is_loopback(host)), *preset.hosts]


def _unknown(sentence: str, name: str, names: Sequence[str]) -> UnknownNameError:
    near = difflib.get_close_matches(name.casefold(), [known.casefold() for known in names], n=3)
    meant = [known for known in names if known.casefold() in near] or names
    hint = _("Choose one of: {names}.").format(names=", ".join(meant))
    return UnknownNameError(sentence.format(name=name), hint=hint)
