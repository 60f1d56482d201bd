"""Connects to a server: one connection, one deadline, TLS, proxies, and HTTP for everything that speaks it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.net.connection import Connection, ServerClosed, stopped
    from docmail.net.http import Web, WebConnection, headers_of
    from docmail.net.proxy import basic
    from docmail.net.tls import Certificate, fingerprint, matches, tls_context, tls_failure, wants_certificate

__all__ = [
    "Certificate",
    "Connection",
    "ServerClosed",
    "Web",
    "WebConnection",
    "basic",
    "fingerprint",
    "headers_of",
    "matches",
    "stopped",
    "tls_context",
    "tls_failure",
    "wants_certificate",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "connection": ("Connection", "ServerClosed", "stopped"),
            "http": ("Web", "WebConnection", "headers_of"),
            "proxy": ("basic",),
            "tls": ("Certificate", "fingerprint", "matches", "tls_context", "tls_failure", "wants_certificate"),
        },
    )
