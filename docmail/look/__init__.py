"""How the mails and documents of a company or a person look: name, logo, colour, font, signature, footer, signs.

import docmail
from docmail.look import Look

settings = docmail.Settings("Accounts", server, look=Look("Example Ltd", colour="#0a5c8c", signature="Ann Adams"))
settings.save()                                                      # from now on, all mails have it
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.look.colours import contrast, lightened, readable
    from docmail.look.keeping import keep, kept
    from docmail.look.logos import Logo
    from docmail.look.value import Look, checked, joined

__all__ = ["Logo", "Look", "checked", "contrast", "joined", "keep", "kept", "lightened", "readable"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "colours": ("contrast", "lightened", "readable"),
            "keeping": ("keep", "kept"),
            "logos": ("Logo",),
            "value": ("Look", "checked", "joined"),
        },
    )
