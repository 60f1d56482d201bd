"""The one deadline of an operation, which everything that waits on a connection is given."""

from __future__ import annotations

import time

from docmail.errors import MessageError
from docmail.language import _


class Deadline:
    """One moment by which a whole operation must be over, however slowly each byte of it comes."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds left; raises `TimeoutError` when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def check_seconds(timeout: float) -> None:
    """Raise `MessageError` for a timeout that is no number of seconds, or longer than a day."""
    number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    # A day is longer than anybody means; inf and nan are no times.
    if not number or not 0 < timeout <= 86400:  # noqa: PLR2004
        raise MessageError(
            _("The timeout must be a number of seconds, more than 0 and at most a day."),
            field="timeout",
            hint=_("Leave it out, or write timeout=60."),
        )
