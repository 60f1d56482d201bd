"""Email the documents you make in a notebook.

    import docmail

    docmail.SettingsForm()                                               # once: where mail goes through
    docmail.send(pdf, to="cfo@example.com", subject="Q3", body="Attached.")

Importing docmail loads nothing but this list; everything else comes when it is first used.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docmail import credentials, errors, look, mailbox, notebook, presets, reports
    from docmail.diagnosis import send_test
    from docmail.documents import Document
    from docmail.message import Message, merge
    from docmail.outbox import Outbox, send
    from docmail.sandbox import Sandbox
    from docmail.secret import Secret
    from docmail.settings import HttpServer, Settings, SmtpServer
    from docmail.widgets import EmailButton, SettingsForm

__version__ = "0.2.0"

__all__ = [
    "Document",
    "EmailButton",
    "HttpServer",
    "Message",
    "Outbox",
    "Sandbox",
    "Settings",
    "SettingsForm",
    "SmtpServer",
    "credentials",
    "errors",
    "look",
    "mailbox",
    "merge",
    "notebook",
    "presets",
    "reports",
    "send",
    "send_test",
]

_HOMES = {
    "Document": "documents",
    "EmailButton": "widgets",
    "HttpServer": "settings",
    "Message": "message",
    "Outbox": "outbox",
    "Sandbox": "sandbox",
    "Settings": "settings",
    "SettingsForm": "widgets",
    "SmtpServer": "settings",
    "merge": "message",
    "send": "outbox",
    "send_test": "diagnosis",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(f"docmail.{_HOMES[name]}"), name)
    elif name in __all__:
        value = importlib.import_module(f"docmail.{name}")
    else:
        raise AttributeError(f"module 'docmail' has no attribute {name!r}")  # noqa: EM102, TRY003
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def load_ipython_extension(shell: Any) -> None:
    """Let FPDF objects, matplotlib's figures and tables (pandas, polars) show an Email button: `%load_ext docmail`."""
    from docmail.widgets import register, register_foreign

    register(shell)
    register_foreign(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take that back: `%unload_ext docmail`."""
    from docmail.widgets import unregister_foreign

    unregister_foreign(shell)


def _register_displays() -> None:
    """Tell a running IPython how docmail's objects are shown; the widgets load when one is."""
    ipython = sys.modules.get("IPython")
    if ipython is not None and (shell := ipython.get_ipython()) is not None:
        from docmail.widgets import register

        register(shell)


def _lend_sandbox_password() -> None:
    """Let the profile "sandbox" sign in wherever it is named; the core knows no password of any account."""
    from docmail.credentials import lenders

    lenders.append(_sandbox_password)


def _sandbox_password(settings: Settings) -> Secret | None:
    from docmail.sandbox import lent_password

    return lent_password(settings)


_register_displays()
_lend_sandbox_password()
