"""Asks the network which server sends the mail of a domain: the DNS first, then Thunderbird's public database.

Only the domain is sent, and only when somebody calls `find()`. What comes back is a suggestion of strangers: DNS can be
forged, volunteers write the database. It is checked here, shown by the caller, and taken over by a person.
"""

from __future__ import annotations

import queue
import re
import threading
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from docmail import presets
from docmail.addresses import Address, ascii_host, parse_address, trimmed
from docmail.errors import AddressError, ConnectError, DocmailError, Kind, SettingsError
from docmail.language import _
from docmail.net import Deadline
from docmail.presets import filled_in
from docmail.settings import Security

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from xml.etree.ElementTree import Element

    from dns.resolver import Resolver

    from docmail.presets import Preset

__all__ = ["Finding", "find", "questions"]

_HOST = "autoconfig.thunderbird.net"
_DATABASE = f"https://{_HOST}/v1.1/"
_MAX_ANSWER = 256 * 1024  # the longest entries of the database have a few kB
_PIECE = 16 * 1024
_MAX_PORT = 65535
_LOOK_UP_SECONDS = 0.2  # how often a wait that nothing can interrupt looks whether a person stopped it

# Names of this computer, and one that must never be asked of the DNS (RFC 7686).
_NOWHERE = {"localhost", "localdomain", "onion"}
# RFC 6761, 6762 (appendix G) and ICANN's .internal: the public knows nothing of them, and an inner name stays inside.
_INNER = {"arpa", "corp", "example", "home", "internal", "intranet", "invalid", "lan", "local", "private", "test"}

_SERVICES = (("_submissions._tcp", Security.TLS), ("_submission._tcp", Security.STARTTLS))  # RFC 8314, RFC 6186
_SOCKET_TYPES = {"ssl": Security.TLS, "starttls": Security.STARTTLS, "plain": Security.NONE}
_USERNAMES = {"%EMAILADDRESS%": "address", "%EMAILLOCALPART%": "local-part"}

_T = TypeVar("_T")


@dataclass(frozen=True)
class Finding:
    """The server that was found for a domain, and who named it.

    `username` is a rule in the words of `Preset.username`. `host` is empty where the preset's host has a word that the
    user must replace.
    """

    domain: str
    source: Literal["mx", "srv", "thunderbird"]
    host: str
    port: int
    security: Security
    username: str
    preset: Preset | None = None

    @property
    def encrypted(self) -> bool:
        """Whether the connection is encrypted; if not, a person must agree before it is taken over."""
        return self.security is not Security.NONE

    @property
    def foreign(self) -> bool:
        """Whether the host is neither of the domain nor of a known provider; a person must agree (RFC 6186 6)."""
        own = self.host == self.domain or self.host.endswith(f".{self.domain}")
        return not own and self.preset is None

    @property
    def text(self) -> str:
        """What was found, in a sentence."""
        sentences = {
            "mx": _("{domain} receives its mail at {provider}."),
            "srv": _("{domain} names {host}, port {port}, in its DNS."),
            "thunderbird": _("Thunderbird's database knows {domain}: {host}, port {port}."),
        }
        provider = _(self.preset.name) if self.preset else ""
        return sentences[self.source].format(
            domain=_shown(self.domain), host=self.host, port=self.port, provider=provider
        )

    @property
    def caution(self) -> str:
        """What a person must know before taking it over; empty if there is nothing to mind."""
        sentences = []
        if not self.encrypted:
            sentences.append(
                _("{host} is not encrypted: others can read the mail on its way, and no password is sent.")
            )
        if self.foreign:
            sentences.append(_("{host} does not belong to {domain}: use it only if you know it."))
        return " ".join(sentence.format(host=self.host, domain=_shown(self.domain)) for sentence in sentences)


def questions(domain_or_address: str) -> str:
    """Say whom `find()` would ask about what, before it does; raises `AddressError` as `find()` does."""
    domain = _domain(domain_or_address)
    if _is_inner(domain):
        sentence = _("Asks your DNS server about {domain}; nothing else is sent.")
    else:
        sentence = _("Asks your DNS server, and {database}, about {domain}; nothing else is sent.")
    return sentence.format(domain=_shown(domain), database=_HOST)


def find(
    domain_or_address: str,
    *,
    on_step: Callable[[str], object] = lambda _text: None,
    timeout: float = 10.0,
    stopped: Callable[[], bool] = lambda: False,
) -> Finding:
    """Return the first server that somebody names for the domain; of an address only the domain is used.

    `on_step` hears each question before it is asked, in this thread. `timeout` covers all of them. Once `stopped`
    returns true, which it is asked several times a second, the search ends.

    Raises `AddressError` where there is nothing to ask about, `SettingsError` when everybody answered and nobody knows,
    `ConnectError` when somebody could not be asked, or a person stopped it.
    """
    domain = _domain(domain_or_address)
    search = _Search(domain, on_step, Deadline(timeout), stopped)
    look_ups = [[search.by_mx, search.by_srv], [] if _is_inner(domain) else [search.by_thunderbird]]
    unanswered = []
    for source in look_ups:
        try:
            for look_up in source:
                if finding := look_up():
                    if finding.host:
                        filled_in.take_note(finding.host, domain)
                    return finding
        except _Unanswered as exc:  # whoever did not answer is not asked again
            unanswered.append(str(exc))
    raise _nothing(domain, unanswered)


class _Unanswered(Exception):
    """Somebody could not be asked, for this reason; the others may still know."""


@dataclass(frozen=True)
class _Search:
    """One search for a domain: each look-up returns what it finds, or None, or raises `_Unanswered`."""

    domain: str
    on_step: Callable[[str], object]
    deadline: Deadline
    stopped: Callable[[], bool]

    def by_mx(self) -> Finding | None:
        """Recognise the provider behind the domain by where its mail arrives."""
        question = _("Asking your DNS server where {domain} receives its mail …")
        records = self._ask_dns(question, lambda seconds: _records(self.domain, "MX", seconds))
        # Those of a higher number are replacements, and often somebody else's (RFC 5321 5.1).
        first = [record for record in records if record.preference == records[0].preference]
        known = (presets.by_mx(record.exchange.to_text()) for record in first)
        if (preset := next(filter(None, known), None)) is None:
            return None
        server = preset.servers[0]
        host = server.host if server.complete else ""
        return Finding(self.domain, "mx", host, server.port, Security(server.security), preset.username, preset)

    def by_srv(self) -> Finding | None:
        """Read the servers for sending that the domain names, those encrypted from the first byte before others."""

        def ask(seconds: float) -> Finding | None:
            deadline = Deadline(seconds)
            for service, security in _SERVICES:
                for record in _records(f"{service}.{self.domain}", "SRV", deadline.remaining()):
                    # A target of "." says that the service is not offered; it is no name.
                    if finding := self._finding("srv", record.target.to_text(), record.port, security, "address"):
                        return finding
            return None

        return self._ask_dns(_("Asking your DNS server which server sends the mail of {domain} …"), ask)

    def by_thunderbird(self) -> Finding | None:
        """Read the database's entry for the domain: its first encrypted server, or its first."""
        question = _("Asking {database} about {domain} …").format(database=_HOST, domain=_shown(self.domain))
        late = _("{database} does not answer.").format(database=_HOST)
        content = self._ask(question, late, lambda seconds: _fetch(_DATABASE + self.domain, seconds))
        if content is None:
            return None
        found = [finding for server in _outgoing_servers(content) if (finding := self._entry(server))]
        return next((finding for finding in found if finding.encrypted), found[0] if found else None)

    def _entry(self, server: Element) -> Finding | None:
        def value(tag: str) -> str:
            return trimmed(server.findtext(tag) or "").replace("%EMAILDOMAIN%", self.domain)

        port = value("port")
        security = _SOCKET_TYPES.get(value("socketType").lower())
        if security is None or not re.fullmatch(r"[0-9]{1,5}", port):
            return None
        username = value("username").replace(f"%EMAILLOCALPART%@{self.domain}", "%EMAILADDRESS%")
        rule = _USERNAMES.get(username, "other")
        return self._finding("thunderbird", value("hostname"), int(port), security, rule)

    def _finding(
        self, source: Literal["srv", "thunderbird"], host: str, port: int, security: Security, username: str
    ) -> Finding | None:
        """Return what a stranger suggests, or None if it cannot be a mail server elsewhere."""
        try:
            host = _public_name(host)
        except ValueError:
            return None
        if not 0 < port <= _MAX_PORT:
            return None
        preset = presets.by_host(host, port)
        return Finding(self.domain, source, host, port, security, preset.username if preset else username, preset)

    def _ask_dns(self, question: str, look_up: Callable[[float], _T]) -> _T:
        # Half of the time that is left, so that a silent DNS server leaves some for the database.
        late = _("Your DNS server does not answer.")
        return self._ask(question.format(domain=_shown(self.domain)), late, look_up, share=0.5)

    def _ask(self, question: str, late: str, look_up: Callable[[float], _T], *, share: float = 1.0) -> _T:
        """Say the question, ask it, and return the answer; in time, however long a look-up may hang."""
        self._check_stopped()
        self.on_step(question)
        answers: queue.SimpleQueue[_T | Exception] = queue.SimpleQueue()
        try:
            seconds = self.deadline.remaining() * share
            deadline = Deadline(seconds)

            def work() -> None:
                try:
                    answers.put(look_up(seconds))
                except Exception as exc:  # noqa: BLE001 - it is raised again below, in the caller's thread
                    answers.put(exc)

            # getaddrinfo knows no time-out, and a server that drips bytes never reaches its own; hence the thread. It
            # speaks the caller's language.
            threading.Thread(target=copy_context().run, args=(work,), name="docmail-discovery", daemon=True).start()
            while True:
                try:
                    answer = answers.get(timeout=min(_LOOK_UP_SECONDS, deadline.remaining()))
                except queue.Empty:
                    self._check_stopped()
                    continue
                if isinstance(answer, Exception):
                    raise answer
                return answer
        except TimeoutError:
            raise _Unanswered(late) from None

    def _check_stopped(self) -> None:
        if self.stopped():
            raise ConnectError(_("Stopped."), kind=Kind.NETWORK, hint=_("Start again when you like."))


def _records(name: str, kind: Literal["MX", "SRV"], seconds: float) -> list[Any]:
    """Return the records of a name, those to use first in front; none if there is no such name."""
    import dns.exception
    import dns.resolver

    try:
        answer = _resolver().resolve(f"{name}.", kind, lifetime=seconds, raise_on_no_answer=False, search=False)
    except dns.resolver.NXDOMAIN:
        return []
    except dns.resolver.NoResolverConfiguration:
        raise _Unanswered(_("This computer knows no DNS server; it may have no network.")) from None
    except dns.exception.Timeout:
        raise TimeoutError from None
    except (dns.exception.DNSException, OSError, ValueError):
        raise _Unanswered(_("Your DNS server cannot be reached, or cannot answer.")) from None
    records: list[Any] = list(answer.rrset or [])
    if kind == "MX":
        return sorted(records, key=lambda record: record.preference)
    # RFC 2782 draws lots by weight; a suggestion should be the same each time.
    return sorted(records, key=lambda record: (record.priority, -record.weight))


def _resolver() -> Resolver:
    """Return the system's resolver, read anew, because laptops change networks; tests put theirs here."""
    import dns.resolver

    return dns.resolver.Resolver()


def _fetch(url: str, seconds: float) -> bytes | None:
    """Return the content of an address, None if there is none."""
    import http.client
    import ssl
    import urllib.error
    from urllib import request as web

    # Put together by hand: HTTPS alone, through the company's proxy, and no redirection, which would tell the domain
    # to somebody whom nobody was told of.
    opener = web.OpenerDirector()
    opener.add_handler(web.ProxyHandler())
    opener.add_handler(web.HTTPSHandler(context=_context()))
    opener.add_handler(web.HTTPErrorProcessor())
    opener.add_handler(web.HTTPDefaultErrorHandler())
    request = web.Request(url, headers={"User-Agent": "docmail"})  # noqa: S310 - nothing but HTTPS, see above
    deadline = Deadline(seconds)
    content = bytearray()
    try:
        with opener.open(request, timeout=seconds) as response:
            while piece := response.read1(_PIECE):
                content += piece
                deadline.remaining()
                if len(content) > _MAX_ANSWER:
                    raise _unreadable()
    except urllib.error.HTTPError as exc:
        exc.close()
        if exc.code == http.client.NOT_FOUND:
            return None
        raise _Unanswered(_("{database} answers with the code {code}.").format(database=_HOST, code=exc.code)) from None
    except (OSError, http.client.HTTPException, ValueError) as exc:  # the last for a proxy's address that is none
        reason = getattr(exc, "reason", exc)
        if isinstance(reason, TimeoutError):
            raise TimeoutError from None
        if isinstance(reason, ssl.SSLCertVerificationError):
            sentence = _("The certificate of {database} cannot be verified.")
        else:
            sentence = _("{database} cannot be reached.")
        raise _Unanswered(sentence.format(database=_HOST)) from None
    return bytes(content)


def _context() -> ssl.SSLContext:
    """Return the default context, which verifies certificates; tests put one here that trusts theirs."""
    import ssl

    return ssl.create_default_context()


def _outgoing_servers(content: bytes) -> Iterator[Element]:
    # The standard parser is safe enough for a bounded text without a document type, in which alone entities could be
    # declared. Read as UTF-8, no other encoding can hide one.
    from xml.etree import ElementTree as ET

    try:
        text = content.decode("utf-8-sig")
        if "<!DOCTYPE" in text:
            raise _unreadable()
        root = ET.fromstring(text)  # noqa: S314 - see above
    except (UnicodeDecodeError, ET.ParseError):
        raise _unreadable() from None
    return (server for server in root.iterfind("emailProvider/outgoingServer") if server.get("type", "smtp") == "smtp")


def _unreadable() -> _Unanswered:
    return _Unanswered(_("The answer of {database} cannot be read.").format(database=_HOST))


def _nothing(domain: str, unanswered: list[str]) -> DocmailError:
    hint = _("Ask your administrator for the server's name and port.")
    nothing = _("No settings were found for {domain}.").format(domain=_shown(domain))
    if unanswered:
        return ConnectError(
            " ".join([nothing, *unanswered, _("Company networks often block this.")]),
            kind=Kind.NETWORK,
            hint=hint,
            field="host",
            guide="Ports",
        )
    checked = _("Check its spelling.")
    return SettingsError(f"{nothing} {checked}", hint=hint, field="host", guide="Ports")


def _domain(text: str) -> str:
    """Return the domain to ask about, in ASCII."""
    domain = parse_address(text, "email_address").domain if "@" in text else trimmed(text)
    try:
        return _public_name(domain)
    except ValueError:
        raise AddressError(
            _("Settings can be looked up only for a domain such as example.com."),
            address=text,
            hint=_("Check the email address, or fill in the server and the port yourself."),
            field="email_address",
        ) from None


def _public_name(text: str) -> str:
    """Return the name in ASCII; raise `ValueError` for numbers, single words and names of this computer."""
    name = ascii_host(text)
    labels = name.split(".")
    # Systems also read 127.0.0.0x1 as a number, and no top-level domain begins with a digit.
    if len(labels) == 1 or not labels[-1][0].isalpha() or not _NOWHERE.isdisjoint(labels):
        raise ValueError(name)
    return name


def _is_inner(domain: str) -> bool:
    return domain.rpartition(".")[2] in _INNER


def _shown(domain: str) -> str:
    return Address("", "", domain).shown.removeprefix("@")
