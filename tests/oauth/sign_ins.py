"""Signing in at the sandbox as a person does: with a code that is entered (Microsoft), or in a browser (Google)."""

from __future__ import annotations

import http.client
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from docmail import home as homes
from docmail import oauth
from docmail.oauth import DeviceSignIn, google
from docmail.secret import Secret
from docmail.settings import HttpServer, SignIn

if TYPE_CHECKING:
    from docmail.credentials import Where
    from docmail.sandbox import Sandbox
    from docmail.settings import Settings


def settings_for(box: Sandbox, provider: SignIn, way: Literal["smtp", "http"] = "smtp") -> Settings:
    """Return the settings for sending by SMTP or by the provider's API, with the sandbox's sign-in."""
    smtp = box.microsoft_settings if provider is SignIn.MICROSOFT else box.google_settings
    if way == "smtp":
        return smtp
    settings = box.settings_for("graph" if provider is SignIn.MICROSOFT else "gmail")
    assert isinstance(settings.server, HttpServer)
    there = smtp.server
    server = replace(settings.server, sign_in=provider, client_id=there.client_id, authority=there.authority)
    return replace(settings, server=server)


def own(settings: Settings) -> Settings:
    """Return the settings as the user's own: not in a rehearsal, so that the keyring counts."""
    return replace(settings, home=homes.user_home())


def fetched(url: str, method: str = "GET", form: str | None = None, host: str | None = None) -> tuple[int, str, str]:
    """Ask as a browser does; return status, where it sends one, and the page."""
    split = urlsplit(url)
    with closing(http.client.HTTPConnection(split.netloc, timeout=10)) as connection:
        headers = {"Host": host or split.netloc}
        connection.request(method, f"{split.path}?{split.query}", form, headers)
        reply = connection.getresponse()
        return reply.status, reply.getheader("Location", ""), reply.read().decode()


def decided(link: str, *, button: str = "agree") -> str:
    """Press a button of the consent page, and return where the browser is sent then."""
    assert "Sign in as" in fetched(link)[2]
    status, place, _page = fetched(link, "POST", f"{button}=1")
    assert status == 303
    return place


def signed_in(settings: Settings, box: Sandbox, *, elsewhere: bool = False) -> Where:
    """Sign in as a person does, whose browser is on this computer or elsewhere."""
    if settings.server.sign_in is SignIn.MICROSOFT:
        device = DeviceSignIn(settings)
        code = device.begin()
        box.identity.agree()
        return oauth.keep(settings, device.wait(code, lambda: False))
    with closing(google.BrowserSignIn(settings)) as sign_in:
        place = decided(sign_in.begin())
        if elsewhere:
            sign_in.take(Secret(f"  {place}\n"))
        else:
            assert fetched(place)[0] == 200
        return oauth.keep(settings, sign_in.wait(lambda: False))
