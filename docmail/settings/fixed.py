"""Lets what the organisation's file fixes win over what is saved or typed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from docmail import home as homes
from docmail.addresses import Address, is_loopback, parse_address
from docmail.errors import AddressError, Field
from docmail.presets import current_organisation, services
from docmail.settings.servers import HttpServer, Security, SignIn, SmtpServer

if TYPE_CHECKING:
    from docmail.home import Home
    from docmail.presets import Organisation, Provider
    from docmail.settings.account import Account

_SERVER = frozenset(
    {Field.PROTOCOL, Field.HOST, Field.PORT, Field.SECURITY, Field.FINGERPRINT, Field.CA_FILE, Field.URL}
)
_SIGN_IN = frozenset({Field.SIGN_IN, Field.CLIENT_ID, Field.TENANT})


@dataclass(frozen=True)
class Values:
    """The parts of settings of which some can be fixed, and the fields that are."""

    sender: Any
    server: Any
    copy_to: Any
    fields: frozenset[Field] = frozenset()


def is_rehearsal(home: Home | None, account: Account) -> bool:
    """Say whether settings are those of a sandbox, and lead to a server on this computer and not to a real one."""
    # RFC 6761 6.4: a name below .invalid leads nowhere. It is that of a sandbox's wrong server.
    return homes.is_rehearsed(home) and (is_loopback(account.host) or account.host.endswith(".invalid"))


def fixed(values: Values) -> Values:
    """Return the values as the organisation's file has them; what it says nothing about stays.

    An address in the domains of one of its providers sends through that provider's server, and through no other; whom
    the file gives an application for signing in uses that one; and the archive gets a copy of every mail. Values that
    cannot be right stay as they are, for `Settings.problems()` to name.
    """
    organisation = current_organisation()
    server = values.server
    if organisation.path is None or not isinstance(server, (SmtpServer, HttpServer)) or _is_application(server):
        return values
    address = _address(values.sender, server)
    provider = organisation.provider_of(address.addr_spec) if address else None
    if provider is not None and address is not None:
        values = _with_server(values, provider, address)
    elif isinstance(server.sign_in, SignIn):
        values = _with_application(values, organisation)
    if organisation.copy_to is not None:
        values = replace(values, copy_to=organisation.copy_to, fields=values.fields | {Field.COPY_TO})
    return values


def _is_application(server: SmtpServer | HttpServer) -> bool:
    """Say whether it is no way to send, but an application at Google, which is an account as well."""
    return isinstance(server, HttpServer) and bool(server.client_id) and server.username == server.client_id


def _address(sender: object, server: SmtpServer | HttpServer) -> Address | None:
    """Return from which address mail is sent; None where the server has one of its own, or nobody can say."""
    own = isinstance(server, HttpServer) and server.service is None
    text = sender if isinstance(sender, str) and "@" in sender else server.username
    if own or not isinstance(text, str):
        return None
    try:
        return parse_address(text, Field.SENDER)
    except AddressError:
        return None


def _with_server(values: Values, provider: Provider, address: Address) -> Values:
    before, rule = values.server, provider.preset.username
    there = provider.host or provider.api
    at = before.host.lower() if isinstance(before, SmtpServer) and isinstance(before.host, str) else _api(before)
    # A username that is saved or typed is one at this server, or at another one; a mailbox of several people is sent
    # from by each under an own name.
    kept = before.username if at == there and isinstance(before.username, str) else ""
    service = services.by_api(provider.api)
    # A service that knows an account by its key alone has no names.
    username = _username(rule, address, kept) if service is None or service.has_mailbox else ""
    sign_in = SignIn(provider.sign_in)
    application = provider.application
    details: dict[str, Any] = {
        "username": username,
        "sign_in": sign_in,
        "client_id": application.client_id if sign_in is not SignIn.PASSWORD else "",
        "tenant": application.tenant if sign_in is not SignIn.PASSWORD else "",
        "authority": application.authority if sign_in is not SignIn.PASSWORD else "",
    }
    server: SmtpServer | HttpServer
    if provider.api:
        server = HttpServer(provider.url, provider.api, **details)
    else:
        security = Security(provider.security)
        server = SmtpServer(provider.host, provider.port, security, ca_file=provider.ca_file, **details)
    fields = _SERVER | _SIGN_IN
    if rule == "" or rule.startswith("fixed:"):
        fields |= {Field.USERNAME}
    sender = values.sender
    if isinstance(sender, str) and "@" not in sender and username != address.addr_spec:
        # The address was the username, which it is no more.
        sender = str(Address(sender.removeprefix('"').removesuffix('"'), address.local, address.domain))
    return Values(sender, server, values.copy_to, values.fields | fields)


def _api(server: SmtpServer | HttpServer) -> str:
    return server.api if isinstance(server, HttpServer) and isinstance(server.api, str) else ""


def _username(rule: str, address: Address, kept: str) -> str:
    if rule == "" or rule.startswith("fixed:"):
        return rule.removeprefix("fixed:")
    by_rule = {"address": address.addr_spec, "local-part": address.local}
    return kept or by_rule.get(rule, "")


def _with_application(values: Values, organisation: Organisation) -> Values:
    """Return the values with the application that everybody signs in with; without one, with their own."""
    server = values.server
    application = organisation.application(server.sign_in)
    if not application.client_id:
        return values
    changes = {"client_id": application.client_id}
    fields = {Field.CLIENT_ID}
    if application.tenant or application.authority:
        changes |= {"tenant": application.tenant, "authority": application.authority}
        fields |= {Field.TENANT}
    return replace(values, server=replace(server, **changes), fields=values.fields | fields)
