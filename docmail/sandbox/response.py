"""What the sandbox's HTTP server responds, whichever of its imitations made it."""

from __future__ import annotations

import json
from typing import Any, NamedTuple


class Response(NamedTuple):
    """What the HTTP server responds; the content of a redirect (303) is the address it leads to."""

    status: int
    content: str
    media_type: str = "text/plain; charset=utf-8"


def json_response(status: int, content: Any) -> Response:
    """Return a response in JSON; None makes an empty one."""
    return Response(status, "" if content is None else json.dumps(content), "application/json")
