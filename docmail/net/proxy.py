"""Which proxy the environment names for a server, and how one signs in at an HTTP proxy."""

from __future__ import annotations

import base64
import ipaddress
import os
import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from docmail.addresses import is_loopback
from docmail.secret import Secret


class Proxy(NamedTuple):
    """An HTTP proxy; without a host where the environment names one that cannot be read."""

    scheme: str
    host: str
    port: int
    sign_in: Secret | None

    @classmethod
    def of_environment(cls, scheme: str, host: str, port: int) -> Proxy | None:
        """Return the one that is named for this server."""
        from urllib.request import getproxies, proxy_bypass

        proxies = getproxies()
        if not (named := proxies.get(scheme) or proxies.get("all")) or is_exempt(host, port) or proxy_bypass(host):
            return None
        try:
            url = urlsplit(named if "://" in named else f"http://{named}")
            if "@" in url.path + url.query + url.fragment:  # the password holds a sign that ends the host's part
                return cls(url.scheme, "", 0, None)
            user = url.username
            sign_in = None if user is None else Secret(f"{unquote(user)}:{unquote(url.password or '')}")
            return cls(url.scheme, url.hostname or "", url.port or 80, sign_in)
        except ValueError:  # its message may hold a part of the password
            return cls("http", "", 0, None)

    @property
    def sign_in_header(self) -> list[tuple[str, str]]:
        """The header that a proxy with a password wants."""
        return [("Proxy-Authorization", basic(self.sign_in))] if self.sign_in else []


def by_socks(host: str, port: int) -> bool:
    """Say whether SOCKS5_PROXY leads to this server: not to this computer, and not to what NO_PROXY names."""
    return bool(os.environ.get("SOCKS5_PROXY", "").strip()) and not is_loopback(host) and not is_exempt(host, port)


def is_exempt(host: str, port: int) -> bool:
    """Say whether NO_PROXY names a server: `*`, a name with all below it, a number, a network, each with a port or not.

    No name is looked up for it.
    """
    named = os.environ.get("no_proxy", os.environ.get("NO_PROXY", ""))
    name = host.lower().rstrip(".")
    return any(_names(entry, name, port) for entry in re.split(r"[,\s]+", named.lower()) if entry)


def _names(entry: str, name: str, port: int) -> bool:
    if entry == "*":
        return True
    try:
        number = ipaddress.ip_address(name)
    except ValueError:
        number = None
    if number is not None:
        try:
            return number in ipaddress.ip_network(entry.strip("[]"), strict=False)
        except ValueError:
            pass  # a name, or a number with a port
    if found := re.fullmatch(r"(\[[^\]]*\]|[^:]*):([0-9]{1,5})", entry):
        return int(found[2]) == port and _names(found[1], name, port)
    # A name stands for all below it, with a dot in front or not: so do curl, Go and Python read it.
    domain = entry.removeprefix("*").strip(".")
    return bool(domain) and (name == domain or name.endswith(f".{domain}"))


def is_for_web() -> bool:
    """Say whether the environment names a proxy for the web alone, which no SMTP uses."""
    named = any(os.environ.get(name) for each in ("https_proxy", "http_proxy") for name in (each, each.upper()))
    return named and not os.environ.get("SOCKS5_PROXY", "").strip()


def basic(sign_in: Secret) -> str:
    """Return the value of a header that signs in with `name:password` (RFC 7617)."""
    return "Basic " + base64.b64encode(sign_in.octets()).decode()
