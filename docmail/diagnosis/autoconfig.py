"""Finds out which server sends the mail of a domain: from the DNS first, then from Thunderbird's public database.

Only the domain is sent, and only when somebody calls `find()`. What comes back is a suggestion of strangers: DNS can be
forged, volunteers write the database. It is checked here, shown by the caller, and taken over by a person.
"""

from __future__ import annotations

import queue
import re
import threading
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from docmail import presets
from docmail.addresses import Address, ascii_host, parse_address, trimmed
from docmail.errors import AddressError, ConnectError, DocmailError, Field, Guide, Kind, SettingsError
from docmail.language import _
from docmail.net import Deadline
from docmail.settings import Mailbox, Security, usual_mailbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from xml.etree.ElementTree import Element

    from dns.resolver import Resolver

    from docmail.presets import Preset

__all__ = ["Finding", "find", "questions"]

_HOST = "autoconfig.thunderbird.net"
_DATABASE = f"https://{_HOST}/v1.1/"
_MAX_CONTENT = 256 * 1024  # octets; the longest entries of the database have a few kB
_MAX_PORT = 65535
_LOOK_UP_SECONDS = 0.2  # how often a wait that nothing can interrupt looks whether a person stopped it

# Names of this computer, and one that must never be asked of the DNS (RFC 7686).
_NOWHERE = {"localhost", "localdomain", "onion"}
# RFC 6761, 6762 (appendix G) and ICANN's .internal: the public knows nothing of them, and an inner name stays inside.
_INNER = {"arpa", "corp", "example", "home", "internal", "intranet", "invalid", "lan", "local", "private", "test"}

_SERVICES = (("_submissions._tcp", Security.TLS), ("_submission._tcp", Security.STARTTLS))  # RFC 8314, RFC 6186
_IMAP_SERVICES = (("_imaps._tcp", Security.TLS), ("_imap._tcp", Security.STARTTLS))
_SOCKET_TYPES = {"ssl": Security.TLS, "starttls": Security.STARTTLS, "plain": Security.NONE}
_USERNAMES = {"%EMAILADDRESS%": "address", "%EMAILLOCALPART%": "local-part"}

_T = TypeVar("_T")


@dataclass(frozen=True)
class Finding:
    """The server that was found for a domain, and who named it.

    `username` is a rule in the words of `Preset.username`. `host` is empty where the preset's host has a word that the
    user must replace. `mailbox` is where the domain's mail is read (IMAP), if that is known; its username is that for
    sending.
    """

    domain: str
    source: Literal["mx", "srv", "thunderbird"]
    host: str
    port: int
    security: Security
    username: str
    preset: Preset | None = None
    mailbox: Mailbox | None = None

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
            domain=shown_domain(self.domain), host=self.host, port=self.port, provider=provider
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
        return " ".join(sentence.format(host=self.host, domain=shown_domain(self.domain)) for sentence in sentences)


def questions(domain_or_address: str) -> str:
    """Return a sentence about the requests that `find()` would send; raises `AddressError` as `find()` does."""
    domain = _domain(domain_or_address)
    if is_inner(domain):
        sentence = _("Asks your DNS server about {domain}; nothing else is sent.")
    else:
        sentence = _("Asks your DNS server, and {database}, about {domain}; nothing else is sent.")
    return sentence.format(domain=shown_domain(domain), database=_HOST)


def find(
    domain_or_address: str,
    *,
    on_step: Callable[[str], object] = lambda _text: None,
    timeout: float = 10.0,
    stopped: Callable[[], bool] = lambda: False,
) -> Finding:
    """Return the first server that somebody names for the domain; of an address only the domain is used.

    `on_step` is called with a sentence about each request before it is sent, in this thread. `timeout` (seconds) covers
    all of them. `stopped` is called several times a second; once it returns true, the search ends.

    Raises `AddressError` for what is no public domain, `SettingsError` when every server responded and none knows the
    domain, `ConnectError` when one did not respond, or a person stopped the search.
    """
    domain = _domain(domain_or_address)
    search = _Search(domain, on_step, Deadline(timeout), stopped)
    look_ups = [[search.by_mx, search.by_srv], [] if is_inner(domain) else [search.by_thunderbird]]
    silent = []
    for source in look_ups:
        try:
            for look_up in source:
                if finding := look_up():
                    if finding.host:
                        presets.take_note(finding.host, domain)
                    return finding
        except _NoResponse as exc:  # a server that did not respond gets no second request
            silent.append(str(exc))
    raise _nothing(domain, silent)


class _NoResponse(Exception):
    """A server did not respond, for this reason; the others may still know the domain."""


@dataclass(frozen=True)
class _Search:
    """One search for a domain: each look-up returns what it finds, or None, or raises `_NoResponse`."""

    domain: str
    on_step: Callable[[str], object]
    deadline: Deadline
    stopped: Callable[[], bool]

    def by_mx(self) -> Finding | None:
        """Recognise the provider behind the domain by where its mail arrives."""
        step = _("Asking your DNS server where {domain} receives its mail …")
        records = self._in_dns(step, lambda seconds: _records(self.domain, "MX", seconds))
        # Those of a higher number are replacements, and often somebody else's (RFC 5321 5.1).
        first = [record for record in records if record.preference == records[0].preference]
        known = (presets.by_mx(record.exchange.to_text()) for record in first)
        if (preset := next(filter(None, known), None)) is None:
            return None
        server = preset.servers[0]
        host = server.host if server.complete else ""
        security = Security(server.security)
        return Finding(self.domain, "mx", host, server.port, security, preset.username, preset, usual_mailbox(preset))

    def by_srv(self) -> Finding | None:
        """Read the servers for sending that the domain names, those encrypted from the first byte before others."""

        def ask(seconds: float) -> Finding | None:
            deadline = Deadline(seconds)
            for service, security in _SERVICES:
                for record in _records(f"{service}.{self.domain}", "SRV", deadline.remaining()):
                    # A target of "." says that the service is not offered; it is no name.
                    if finding := self._finding("srv", record.target.to_text(), record.port, security, "address"):
                        return finding if finding.mailbox else replace(finding, mailbox=mailbox(deadline))
            return None

        def mailbox(deadline: Deadline) -> Mailbox | None:
            for service, security in _IMAP_SERVICES:
                for record in _records(f"{service}.{self.domain}", "SRV", deadline.remaining()):
                    if found := _mailbox(record.target.to_text(), record.port, security):
                        return found
            return None

        return self._in_dns(_("Asking your DNS server which server sends the mail of {domain} …"), ask)

    def by_thunderbird(self) -> Finding | None:
        """Read the database's entry for the domain: its first encrypted server, or its first."""
        step = _("Asking {database} about {domain} …").format(database=_HOST, domain=shown_domain(self.domain))
        late = _("{database} does not answer.").format(database=_HOST)
        content = self._result(step, late, lambda seconds: _fetch(_DATABASE + self.domain, seconds))
        if content is None:
            return None
        found = [finding for server in _servers(content, "outgoingServer", "smtp") if (finding := self._entry(server))]
        best = next((finding for finding in found if finding.encrypted), found[0] if found else None)
        if best is None or best.mailbox is not None:
            return best
        places = (self._place(server) for server in _servers(content, "incomingServer", "imap"))
        mailboxes = (_mailbox(*place) for place in places if place is not None)
        return replace(best, mailbox=next(filter(None, mailboxes), None))

    def _entry(self, server: Element) -> Finding | None:
        place = self._place(server)
        if place is None:
            return None
        username = self._value(server, "username").replace(f"%EMAILLOCALPART%@{self.domain}", "%EMAILADDRESS%")
        return self._finding("thunderbird", *place, _USERNAMES.get(username, "other"))

    def _place(self, server: Element) -> tuple[str, int, Security] | None:
        """Return host, port and security of a server in the database; None for what docmail cannot use."""
        port = self._value(server, "port")
        security = _SOCKET_TYPES.get(self._value(server, "socketType").lower())
        if security is None or not re.fullmatch(r"[0-9]{1,5}", port):
            return None
        return self._value(server, "hostname"), int(port), security

    def _value(self, server: Element, tag: str) -> str:
        return trimmed(server.findtext(tag) or "").replace("%EMAILDOMAIN%", self.domain)

    def _finding(
        self, source: Literal["srv", "thunderbird"], host: str, port: int, security: Security, username: str
    ) -> Finding | None:
        """Return what a stranger suggests, or None if it cannot be a mail server elsewhere."""
        try:
            host = public_name(host)
        except ValueError:
            return None
        if not 0 < port <= _MAX_PORT:
            return None
        preset = presets.by_host(host, port)
        rule = preset.username if preset else username
        return Finding(self.domain, source, host, port, security, rule, preset, usual_mailbox(preset))

    def _in_dns(self, step: str, look_up: Callable[[float], _T]) -> _T:
        # Half of the time that is left, so that a silent DNS server leaves some for the database.
        late = _("Your DNS server does not answer.")
        return self._result(step.format(domain=shown_domain(self.domain)), late, look_up, share=0.5)

    def _result(self, step: str, late: str, look_up: Callable[[float], _T], *, share: float = 1.0) -> _T:
        """Announce a look-up and return its result; raises `_NoResponse` when it is late, however long it may hang."""
        self._check_stopped()
        self.on_step(step)
        results: queue.SimpleQueue[_T | Exception] = queue.SimpleQueue()
        try:
            seconds = self.deadline.remaining() * share
            deadline = Deadline(seconds)

            def work() -> None:
                try:
                    results.put(look_up(seconds))
                except Exception as exc:  # noqa: BLE001 - it is raised again below, in the caller's thread
                    results.put(exc)

            # getaddrinfo knows no time-out, and a server that drips bytes never reaches its own; hence the thread. It
            # speaks the caller's language.
            threading.Thread(target=copy_context().run, args=(work,), name="docmail-discovery", daemon=True).start()
            while True:
                try:
                    result = results.get(timeout=min(_LOOK_UP_SECONDS, deadline.remaining()))
                except queue.Empty:
                    self._check_stopped()
                    continue
                if isinstance(result, Exception):
                    raise result
                return result
        except TimeoutError:
            raise _NoResponse(late) from None

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
        raise _NoResponse(_("This computer knows no DNS server; it may have no network.")) from None
    except dns.exception.Timeout:
        raise TimeoutError from None
    except (dns.exception.DNSException, OSError, ValueError):
        raise _NoResponse(_("Your DNS server cannot be reached, or cannot answer.")) from None
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
    """Return the content of an address (https), None if there is none; raises `TimeoutError` when it is late.

    No redirection is followed: it would disclose the domain to a server that was not announced.
    """
    import ssl

    import h11

    from docmail.net import Web

    web, deadline, content = Web(url), Deadline(seconds), bytearray()
    try:
        web.connect(deadline)
        connection, response = web.request("GET", (), b"", deadline)
        if response.status_code == 404:  # noqa: PLR2004
            return None
        if not 200 <= response.status_code < 300:  # noqa: PLR2004
            sentence = _("{database} answers with the code {code}.")
            raise _NoResponse(sentence.format(database=_HOST, code=response.status_code))
        for piece in connection.pieces(deadline):
            content += piece
            if len(content) > _MAX_CONTENT:
                raise _unreadable()
    except TimeoutError:
        raise
    except (OSError, h11.RemoteProtocolError) as exc:
        deadline.remaining()
        sentence = _("{database} cannot be reached.")
        if isinstance(exc.__cause__, ssl.SSLCertVerificationError):
            sentence = _("The certificate of {database} cannot be verified.")
        sentence = sentence.format(database=_HOST)
        if isinstance(exc, ConnectError) and exc.reply is not None:  # a proxy said why
            sentence = f"{sentence} {exc.message}"
        raise _NoResponse(sentence) from None
    finally:
        web.close()
    return bytes(content)


def _mailbox(host: str, port: int, security: Security) -> Mailbox | None:
    """Return the mailbox that a stranger suggests; None for what is not encrypted, or cannot be a server elsewhere."""
    try:
        name = public_name(host)
    except ValueError:
        return None
    return Mailbox(name, port, security) if 0 < port <= _MAX_PORT and security is not Security.NONE else None


def _servers(content: bytes, tag: str, kind: str) -> Iterator[Element]:
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
    return (server for server in root.iterfind(f"emailProvider/{tag}") if server.get("type", kind) == kind)


def _unreadable() -> _NoResponse:
    return _NoResponse(_("The answer of {database} cannot be read.").format(database=_HOST))


def _nothing(domain: str, silent: list[str]) -> DocmailError:
    hint = _("Ask your administrator for the server's name and port.")
    nothing = _("No settings were found for {domain}.").format(domain=shown_domain(domain))
    if silent:
        return ConnectError(
            " ".join([nothing, *silent, _("Company networks often block this.")]),
            kind=Kind.NETWORK,
            hint=hint,
            field=Field.HOST,
            guide=Guide.PORTS,
        )
    checked = _("Check its spelling.")
    return SettingsError(f"{nothing} {checked}", hint=hint, field=Field.HOST, guide=Guide.PORTS)


def _domain(text: str) -> str:
    """Return the domain to look up, in ASCII."""
    domain = parse_address(text, Field.EMAIL_ADDRESS).domain if "@" in text else trimmed(text)
    try:
        return public_name(domain)
    except ValueError:
        raise AddressError(
            _("Settings can be looked up only for a domain such as example.com."),
            address=text,
            hint=_("Check the email address, or fill in the server and the port yourself."),
            field=Field.EMAIL_ADDRESS,
        ) from None


def public_name(text: str) -> str:
    """Return the name in ASCII; raise `ValueError` for numbers, single words and names of this computer."""
    name = ascii_host(text)
    labels = name.split(".")
    # Systems also read 127.0.0.0x1 as a number, and no top-level domain begins with a digit.
    if len(labels) == 1 or not labels[-1][0].isalpha() or not _NOWHERE.isdisjoint(labels):
        raise ValueError(name)
    return name


def is_inner(domain: str) -> bool:
    return domain.rpartition(".")[2] in _INNER


def shown_domain(domain: str) -> str:
    return Address("", "", domain).shown.removeprefix("@")
