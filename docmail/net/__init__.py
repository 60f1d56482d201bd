"""Connects to a server: one connection, one deadline, TLS, proxies, and HTTP for everything that speaks it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.net.connection import Connection, ServerClosed, stopped
    from docmail.net.deadline import Deadline
    from docmail.net.http import Web, WebConnection, headers_of
    from docmail.net.proxy import basic
    from docmail.net.tls import fingerprint, matches, read_certificate, tls_context, tls_failure, wants_certificate

__all__ = [
    "Connection",
    "Deadline",
    "ServerClosed",
    "Web",
    "WebConnection",
    "basic",
    "fingerprint",
    "headers_of",
    "matches",
    "read_certificate",
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
            "deadline": ("Deadline",),
            "http": ("Web", "WebConnection", "headers_of"),
            "proxy": ("basic",),
            "tls": ("fingerprint", "matches", "read_certificate", "tls_context", "tls_failure", "wants_certificate"),
        },
    )
