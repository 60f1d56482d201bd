"""The HTTP proxy that the environment names for a server, and how one signs in there."""

from __future__ import annotations

import base64
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from docmail.secret import Secret


class Proxy(NamedTuple):
    """An HTTP proxy; without a host where the environment names one that cannot be read."""

    scheme: str
    host: str
    port: int
    sign_in: Secret | None

    @classmethod
    def of_environment(cls, scheme: str, host: str) -> Proxy | None:
        """Return the one that is named for this server."""
        from urllib.request import getproxies, proxy_bypass

        proxies = getproxies()
        if not (named := proxies.get(scheme) or proxies.get("all")) or proxy_bypass(host):
            return None
        try:
            url = urlsplit(named if "://" in named else f"http://{named}")
            if "@" in url.path + url.query + url.fragment:  # the password holds a sign that ends the host's part
                return cls(url.scheme, "", 0, None)
            user = url.username
            sign_in = None if user is None else Secret(f"{unquote(user)}:{unquote(url.password or '')}")
            return cls(url.scheme, url.hostname or "", url.port or 80, sign_in)
        except ValueError:  # its words may hold a part of the password
            return cls("http", "", 0, None)

    @property
    def sign_in_header(self) -> list[tuple[str, str]]:
        """The header that a proxy with a password wants."""
        return [("Proxy-Authorization", basic(self.sign_in))] if self.sign_in else []


def basic(sign_in: Secret) -> str:
    """Return the value of a header that signs in with `name:password` (RFC 7617)."""
    return "Basic " + base64.b64encode(sign_in.octets()).decode()
