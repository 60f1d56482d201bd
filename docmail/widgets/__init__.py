"""What docmail shows in a notebook: the settings form, the mail form, a document with its Email button.

No mail logic lives here, and the core imports none of it. `display.register` is called when IPython runs; the rest
loads when something is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.widgets.display import register, register_foreign, unregister_foreign
    from docmail.widgets.document.email_button import EmailButton
    from docmail.widgets.settings.form import SettingsForm

__all__ = ["EmailButton", "SettingsForm", "register", "register_foreign", "unregister_foreign"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "display": ("register", "register_foreign", "unregister_foreign"),
            "document.email_button": ("EmailButton",),
            "settings.form": ("SettingsForm",),
        },
    )
