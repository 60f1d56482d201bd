"""What docmail shows in a notebook: the settings form, the mail form, a document with its Email button.

No mail logic lives here, and the core imports none of it. `display.register` is called when IPython runs; the rest
loads when something is shown.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docmail.widgets.email_button import EmailButton
    from docmail.widgets.settings_form import SettingsForm

__all__ = ["EmailButton", "SettingsForm"]

_HOMES = {"EmailButton": "email_button", "SettingsForm": "settings_form"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'docmail.widgets' has no attribute {name!r}")  # noqa: EM102, TRY003
    return getattr(importlib.import_module(f"docmail.widgets.{_HOMES[name]}"), name)
