"""Who lends passwords to a rehearsal; it imports nothing, so that `import docmail` can name the sandbox at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.secret import Secret
    from docmail.settings import Settings

lenders: list[Callable[[Settings], Secret | None]] = []
"""Asked in turn for the password of settings that belong to a rehearsal and have none in this session."""
