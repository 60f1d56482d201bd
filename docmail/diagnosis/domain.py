"""Says whether a domain's DNS lets its mails arrive: SPF, DKIM, DMARC and MX, and what its keeper should change.

It is advice. A mail server takes a mail whatever stands here; whether the recipient's server trusts it is decided
later, elsewhere, and by more than these records. What could not be looked up is said to be that, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail import presets
from docmail.addresses import is_loopback, parse_address, trimmed
from docmail.diagnosis.autoconfig import is_inner, public_name
from docmail.diagnosis.domain_checks import Look
from docmail.diagnosis.records import LookUps, NotLookedUp
from docmail.errors import AddressError, Field
from docmail.language import _
from docmail.net import by_socks
from docmail.settings import SmtpServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.diagnosis.domain_report import DomainReport
    from docmail.presets import Preset
    from docmail.settings import Settings

__all__ = ["look_at_domain", "look_at_sender"]

SECONDS = 6.0
"""How long all look-ups of an examination may take; a test that went well must not wait for a silent name server."""

_DNS_PORT = 53


def look_at_sender(
    settings: Settings, *, timeout: float = SECONDS, stopped: Callable[[], bool] = lambda: False
) -> DomainReport | None:
    """Look at the DNS of the domain of these settings' sender, for the provider that sends their mails.

    All look-ups take `timeout` seconds at most; `stopped` is asked before each, and ends them. Returns None where there
    is nothing to look at: a sandbox, a server on this computer, a server that puts in the sender's address itself, a
    name that only a network of one's own knows. Never raises for what a name server does.
    """
    if settings.recorded_in.rehearsal or settings.server_has_the_address:
        return None
    host, port = settings.account.host, settings.account.port
    preset = _preset_of(settings)
    if preset is None and is_loopback(host):
        return None
    try:
        domain = public_name(settings.address.domain)
    except ValueError:
        return None
    if is_inner(domain):
        return None
    account = presets.by_address(settings.account.username)
    personal = bool(preset and account and account.id != preset.id and {*account.servers} & {*preset.servers})
    name = _(preset.name) if preset else _service_name(settings) or host
    server = host if preset is None and isinstance(settings.server, SmtpServer) else ""
    look = Look(domain, preset, name, server, _owner(domain), account if personal else None, LookUps(timeout, stopped))
    return look.report(by_proxy=by_socks(host, port))


def look_at_domain(
    domain: str, *, provider: str | None = None, host: str = "", timeout: float = SECONDS
) -> DomainReport:
    """Look at the DNS of a domain, for mails that a provider (its name or ID) or the server `host` sends.

    Without either, it is the provider where the domain receives its mail, if docmail knows that. All look-ups take
    `timeout` seconds at most. Of an address only the domain is used. Raises `AddressError` for what is no public
    domain, and a KeyError that names the nearest for a provider that docmail does not know.

    >>> docmail.diagnosis.look_at_domain("example.com", provider="Google Workspace").provider
    'Google Workspace'
    """
    preset = presets.by_name(provider) if provider else None
    try:
        name = public_name(parse_address(domain, Field.EMAIL_ADDRESS).domain if "@" in domain else trimmed(domain))
    except ValueError:
        name = ""
    if not name or is_inner(name):
        raise AddressError(
            _("Only a domain of the internet such as example.com has records that everybody sees."),
            address=domain,
            hint=_("Check its spelling."),
            field=Field.EMAIL_ADDRESS,
        )
    if preset is not None and preset.servers:  # gmail for a company's domain is Google Workspace, at the same server
        preset = presets.of_account(preset.servers[0].host, f"postmaster@{name}") or preset
    look_ups = LookUps(timeout)
    by_proxy = by_socks(name, _DNS_PORT)
    if preset is None and not host and not by_proxy:
        preset = _receiving(look_ups, name)
    said = _(preset.name) if preset else host
    return Look(name, preset, said, host, _owner(name), None, look_ups).report(by_proxy=by_proxy)


def _owner(domain: str) -> Preset | None:
    """Return the provider whose own domain it is, as gmail.com is Gmail's; an organisation's domains are its own."""
    found = presets.by_address(f"postmaster@{domain}")
    return None if found is None or found.organisation else found


def _receiving(look_ups: LookUps, domain: str) -> Preset | None:
    """Return the provider where a domain receives its mail."""
    try:
        values = sorted(look_ups.of(domain, "MX").values, key=lambda value: int(value.split()[0]))
    except NotLookedUp:
        return None
    return next(filter(None, (presets.by_mx(value.split()[1]) for value in values)), None)


def _preset_of(settings: Settings) -> Preset | None:
    """Return the provider whose servers send."""
    address = settings.address.addr_spec
    if isinstance(settings.server, SmtpServer):
        return presets.of_account(settings.account.host, address, settings.account.port)
    there = [each for each in presets.presets() if each.service == settings.server.api and not each.organisation]
    own = presets.by_address(address)
    return own if own in there else next((each for each in there if not each.domains), next(iter(there), None))


def _service_name(settings: Settings) -> str:
    if isinstance(settings.server, SmtpServer):
        return ""
    service = next((each for each in presets.services.SERVICES if each.api == settings.server.api), None)
    return service.name if service else ""
