"""Connects to a server: one connection, one deadline, TLS, proxies, and HTTP for everything that speaks it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.net import sasl
    from docmail.net.advice import FOR_MAILBOX, Advice
    from docmail.net.connection import Connection, ServerClosed, stopped
    from docmail.net.deadline import Deadline, check_seconds
    from docmail.net.http import Web, WebConnection, headers_of
    from docmail.net.proxy import basic, by_socks
    from docmail.net.tls import fingerprint, matches, read_certificate, tls_context, tls_failure, wants_certificate
    from docmail.net.trust import Trust

__all__ = [
    "FOR_MAILBOX",
    "Advice",
    "Connection",
    "Deadline",
    "ServerClosed",
    "Trust",
    "Web",
    "WebConnection",
    "basic",
    "by_socks",
    "check_seconds",
    "fingerprint",
    "headers_of",
    "matches",
    "read_certificate",
    "sasl",
    "stopped",
    "tls_context",
    "tls_failure",
    "wants_certificate",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "advice": ("FOR_MAILBOX", "Advice"),
            "connection": ("Connection", "ServerClosed", "stopped"),
            "deadline": ("Deadline", "check_seconds"),
            "http": ("Web", "WebConnection", "headers_of"),
            "proxy": ("basic", "by_socks"),
            "tls": ("fingerprint", "matches", "read_certificate", "tls_context", "tls_failure", "wants_certificate"),
            "trust": ("Trust",),
        },
        modules=("sasl",),
    )
