"""Waits on this computer for what a browser brings back from a sign-in (RFC 8252 7.3): one answer, and then no more.

Whether the browser runs on this computer nobody needs to know: where it does not, as in JupyterHub, it shows that it
cannot open the page, and a person copies that page's address (`take()`).
"""

from __future__ import annotations

import hmac
import queue
import secrets
import threading
import time
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from docmail.language import _, chosen, language
from docmail.oauth import google_replies
from docmail.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "127.0.0.1"  # not "localhost", which may be somebody else's (RFC 8252 8.3)

_LOOK_SECONDS = 0.2  # how often it is looked whether somebody has pressed Stop
_READ_SECONDS = 5.0  # browsers open connections on which they never ask anything

Answer = dict[str, Secret]
"""What stood behind the question mark; the code in it is a secret, so all of it is."""


class Loopback:
    """A port of this computer to which a browser is sent; `close()` it in any case."""

    def __init__(self) -> None:
        self.state = secrets.token_urlsafe(24)
        self._language = chosen()
        self._answers: queue.Queue[Answer] = queue.Queue()
        self._taken = threading.Lock()
        self._server = _Server((HOST, 0), _Handler)
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
        """Host and port."""
        return f"{HOST}:{self._server.server_address[1]}"

    def wait(self, seconds: float, stopped: Callable[[], bool]) -> Answer | None:
        """Return the answer; None if there is none in this time, or somebody has stopped it."""
        end = time.monotonic() + seconds
        while not stopped() and time.monotonic() < end:
            try:
                return self._answers.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
        return None

    def take(self, address: Secret) -> None:
        """Take the address of the page that a browser elsewhere could not open; `CredentialError` for another text."""
        if not self._accept(address):
            raise google_replies.no_answer()

    def close(self) -> None:
        """Give the port back."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _accept(self, address: Secret) -> bool:
        """Take the answer in an address if it belongs to this sign-in, and is the first."""
        answer = _answer_in(address)
        state = answer.get("state")
        if state is None or not hmac.compare_digest(state.octets(), self.state.encode()):
            return False
        if not answer.keys() & {"code", "error"} or not self._taken.acquire(blocking=False):
            return False
        self._answers.put(answer)
        return True

    def page(self, host: str, target: Secret) -> tuple[HTTPStatus, str]:
        """Return what the browser shows; the code is used in the kernel, and stands nowhere in it."""
        with language(self._language):
            if host != self.place:  # a page of somebody else's that calls itself this computer
                return HTTPStatus.BAD_REQUEST, _("This is not the page of a sign-in.")
            if not self._accept(target):
                return HTTPStatus.BAD_REQUEST, _("This is not the answer to the sign-in that docmail waits for.")
            return HTTPStatus.OK, _("docmail has the answer. You can close this page, and go back to the notebook.")


def _answer_in(address: Secret) -> Answer:
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
        """Listen; the library's own way asks name servers for a name that nobody needs."""
        TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Do nothing: the traceback that the library prints may show the request."""


class _Handler(BaseHTTPRequestHandler):
    timeout = _READ_SECONDS
    server: _Server
    server_version, sys_version = "docmail", ""

    def do_GET(self) -> None:
        """Take the answer."""
        if urlsplit(self.path).path != "/":  # browsers ask for an icon as well
            self._say(HTTPStatus.NOT_FOUND, "")
            return
        self._say(*self.server.loopback.page(self.headers.get("Host", ""), Secret(self.path)))

    def _say(self, status: HTTPStatus, sentence: str) -> None:
        content = f"<!DOCTYPE html><title>docmail</title><p>{escape(sentence)}</p>".encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Length": str(len(content)),
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
            "Connection": "close",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_details: Any) -> None:
        """Log nothing: the line of the request holds the code."""
