"""The one deadline of an operation, which everything that waits on a connection is given."""

from __future__ import annotations

import time


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
