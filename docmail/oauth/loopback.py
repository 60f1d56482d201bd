"""Waits on this computer for what a browser brings back from a sign-in (RFC 8252 7.3): one response, and then no more.

The page says what happened and what to do next, also to somebody who comes twice or too late: the port stays open for a
while after the sign-in, and takes nothing any more.

Where the browser runs on another computer, as with JupyterHub, it shows that it cannot open the page, and a person
copies that page's address (`take()`).
"""

from __future__ import annotations

import hmac
import queue
import secrets
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from docmail.errors import CredentialError, Field, Guide
from docmail.language import _, chosen, language
from docmail.oauth import browser_page
from docmail.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "127.0.0.1"  # not "localhost", which may be somebody else's (RFC 8252 8.3)

_LOOK_SECONDS = 0.2  # how often it is looked whether somebody has pressed Stop
_READ_SECONDS = 5.0  # browsers open connections on which they never send a request
_FAREWELL_SECONDS = 600.0  # how long a browser that comes too late is told so

AuthorizationResponse = dict[str, Secret]
"""The query of the address to which the browser was sent (RFC 6749 4.1.2); all of it, as the code, is secret."""


class Loopback:
    """A port of this computer to which a browser is sent; `end()` it in any case, and it closes some minutes later."""

    def __init__(self) -> None:
        self.state = secrets.token_urlsafe(24)
        self._language = chosen()
        self._responses: queue.Queue[AuthorizationResponse] = queue.Queue()
        self._taken = threading.Lock()
        self._over = False
        self._farewell = threading.Timer(_FAREWELL_SECONDS, self.close)
        self._farewell.daemon = True
        try:
            self._server = _Server((HOST, 0), _Handler)
        except OSError as exc:
            raise CredentialError(
                _(
                    "docmail cannot wait for the browser: no program can listen at {host} on this computer ({reason})."
                ).format(host=HOST, reason=exc.strerror or exc),
                hint=_(
                    "Ask this computer's administrator to switch on the network interface “lo” with the address {host}."
                ).format(host=HOST),
                guide=Guide.GMAIL,
                field=Field.SIGN_IN,
            ) from exc
        self._server.loopback = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_LOOK_SECONDS,), name="docmail-loopback", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the browser is sent."""
        return f"http://{self.place}/"

    @property
    def place(self) -> str:
        """The host and port at which the browser's response arrives."""
        return f"{HOST}:{self._server.server_address[1]}"

    def wait(self, seconds: float, stopped: Callable[[], bool]) -> AuthorizationResponse | None:
        """Return the response; None if there is none in this time, or a person has stopped the wait."""
        end = time.monotonic() + seconds
        while not stopped() and time.monotonic() < end:
            try:
                return self._responses.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
        return None

    def take(self, address: Secret) -> None:
        """Take the address of the page that a browser elsewhere could not open; `CredentialError` for another text."""
        if not self._accept(address):
            raise CredentialError(
                _("This is not the address of the page on which this sign-in ended."),
                hint=_("Copy the whole address from the browser's address bar: it begins with http://127.0.0.1."),
                guide=Guide.GMAIL,
                field="pasted",  # not one of the settings, but a field of the form
            )

    def end(self) -> None:
        """Take nothing any more; the port closes some minutes later, in which the page says that it is too late."""
        if not self._over:
            self._over = True
            self._farewell.start()

    def close(self) -> None:
        """Close the port."""
        self._over = True
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _belongs(self, response: AuthorizationResponse) -> bool:
        state = response.get("state")
        return state is not None and hmac.compare_digest(state.octets(), self.state.encode())

    def _accept(self, address: Secret) -> bool:
        """Take the response in an address if it belongs to this sign-in, and is the first; return whether it is."""
        response = _response_in(address)
        if self._over or not self._belongs(response) or not response.keys() & {"code", "error"}:
            return False
        if not self._taken.acquire(blocking=False):
            return False
        self._responses.put(response)
        return True

    def page(self, host: str, target: Secret) -> tuple[HTTPStatus, str]:
        """Return what the browser shows, which never holds anything of the request."""
        with language(self._language):
            if host != self.place:  # a page of somebody else's that calls itself this computer
                return HTTPStatus.BAD_REQUEST, browser_page.page(
                    _("This page opens on your own computer only"),
                    _("The address does not begin with {url}. Nothing was read from it.").format(url=self.url),
                    _("Close this tab, go back to JupyterLab and use the link in the form."),
                )
            if self._accept(target):
                return HTTPStatus.OK, _taken_page(_response_in(target))
            return self._refused_page(_response_in(target))

    def nothing_here(self) -> str:
        """Return what the browser shows at another address of this port."""
        with language(self._language):
            return browser_page.page(
                _("There is nothing at this address"),
                _("Close this tab, go back to JupyterLab and use the link in the form."),
            )

    def _refused_page(self, response: AuthorizationResponse) -> tuple[HTTPStatus, str]:
        """Return what the browser shows where nothing was taken."""
        if not response:
            return HTTPStatus.BAD_REQUEST, browser_page.page(
                _("This is the last page of a sign-in"),
                _("Google opens it when you have signed in. Opened by itself, it does nothing."),
                _("Close this tab, go back to JupyterLab and use the link in the form."),
            )
        if not self._belongs(response):
            return HTTPStatus.BAD_REQUEST, browser_page.page(
                _("This page belongs to another sign-in"),
                _("Perhaps it comes from an older tab. docmail has read nothing from it, and nobody was signed in."),
                _("Close this tab, go back to JupyterLab and use the link in the form."),
            )
        if self._taken.locked():
            return HTTPStatus.CONFLICT, browser_page.over(
                _("docmail already has Google's reply"),
                _("This page was opened before. Opening it again changes nothing."),
                _("The form says whether the sign-in has worked."),
            )
        if self._over:
            return HTTPStatus.GONE, browser_page.page(
                _("This sign-in is over"),
                _("It was stopped in the form, or its 15 minutes had passed. Nobody was signed in."),
                _("Close this tab, go back to JupyterLab and press “Sign in with Google” again."),
            )
        return HTTPStatus.BAD_REQUEST, browser_page.page(
            _("Google's reply is not complete"),
            _("Nobody was signed in."),
            _("Close this tab, go back to JupyterLab and use the link in the form."),
        )


def _taken_page(response: AuthorizationResponse) -> str:
    if "code" in response:
        return browser_page.over(
            _("✓ You have signed in at Google"), _("docmail now finishes the sign-in. The form says when it is done.")
        )
    if response["error"].reveal() == "access_denied":
        return browser_page.over(
            _("You have not allowed docmail to send mail"),
            _("Nothing was changed. To allow it after all, sign in again from the form."),
        )
    return browser_page.over(_("Google has not signed you in"), _("The form says why, and what you can do about it."))


def _response_in(address: Secret) -> AuthorizationResponse:
    try:
        found = parse_qs(urlsplit(address.reveal().strip()).query)
    except ValueError:
        return {}
    return {name: Secret(values[0]) for name, values in found.items() if len(values) == 1}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = False  # on Windows another program could then listen at the same port
    loopback: Loopback

    def server_bind(self) -> None:
        """Listen, without the look-up of this computer's name that the library would do."""
        TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Do nothing: the traceback that the library prints may show the request."""


class _Handler(BaseHTTPRequestHandler):
    timeout = _READ_SECONDS
    server: _Server
    server_version, sys_version = "docmail", ""

    def do_GET(self) -> None:
        """Take the response that the browser brings."""
        if urlsplit(self.path).path != "/":  # some browsers ask for an icon whatever the page says
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self._say(*self.server.loopback.page(self.headers.get("Host", ""), Secret(self.path)))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Say that the request leads nowhere; the library's own page would repeat what was requested."""
        del message, explain
        self._say(HTTPStatus(code), self.server.loopback.nothing_here())

    def _say(self, status: HTTPStatus, page: str) -> None:
        content = page.encode()
        self.send_response(status)
        for name, value in {
            **browser_page.HEADERS,
            "Content-Length": str(len(content)),
            "Connection": "close",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_details: Any) -> None:
        """Log nothing: the line of the request holds the code."""
