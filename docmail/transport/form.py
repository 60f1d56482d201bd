"""Makes the form that an HTTP mail server takes: the fields of a mail, and its attachments read while they are sent."""

from __future__ import annotations

import html
from dataclasses import dataclass
from secrets import token_hex
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from docmail.errors import MessageError
from docmail.translation import _

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage

    from docmail.message import Attachment

_PIECE = 65536


@dataclass(frozen=True)
class Form:
    """The body of a request; its attachments are read while they are sent."""

    media_type: str
    parts: tuple[bytes | Attachment, ...]

    @property
    def size(self) -> int:
        """The octets of the body."""
        return sum(len(part) if isinstance(part, bytes) else part.size for part in self.parts)

    def pieces(self) -> Iterator[bytes]:
        """Yield the body in pieces."""
        for part in self.parts:
            if isinstance(part, bytes):
                yield part
            else:
                yield from _pieces_of(part)


def _pieces_of(attachment: Attachment) -> Iterator[bytes]:
    left = attachment.size
    cause: OSError | None = None
    # An error of the file must not be taken for one of the network, which is an OSError as well.
    try:
        with attachment.open() as file:
            while left >= 0 and (piece := file.read(_PIECE)):
                left -= len(piece)
                if left >= 0:
                    yield piece
    except OSError as exc:
        left, cause = -1, exc
    if left:
        raise MessageError(
            _("{name} is gone or was changed while it was being sent; the mail was not finished.").format(
                name=attachment.name
            ),
            hint=_("Make the document again and send it."),
        ) from cause


def form_of(fields: dict[str, str], attachments: tuple[Attachment, ...]) -> Form:
    """Return the body with these fields: multipart with files, urlencoded without."""
    if not attachments:
        return Form("application/x-www-form-urlencoded", (urlencode(fields).encode(),))
    boundary = f"docmail-{token_hex(16)}"
    text = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    parts: list[bytes | Attachment] = []
    for number, attachment in enumerate(attachments, 1):
        # As browsers write it (WHATWG, multipart/form-data): names in UTF-8, only these three escaped.
        name = attachment.name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        text += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file{number}"; filename="{name}"\r\n'
            f"Content-Type: {attachment.media_type}\r\n\r\n"
        )
        parts += [text.encode(), attachment]
        text = "\r\n"
    parts.append(f"\r\n--{boundary}--\r\n".encode())
    return Form(f"multipart/form-data; boundary={boundary}", tuple(parts))


def fields_of(head: EmailMessage) -> dict[str, str]:
    """Return what all recipients share: the sender's name, the address for replies, subject and HTML."""
    sender = head["From"].addresses[0]
    rich, plain = head.get_body(("html",)), head.get_body(("plain",))
    if rich is not None:
        body = rich.get_content()
    else:
        text = plain.get_content().strip() if plain is not None else ""
        body = "<br>\n".join(html.escape(line, quote=False) for line in text.splitlines())
    return {
        "from": _whole(sender.display_name or sender.addr_spec),
        "reply_to": ", ".join(addresses_of(head, "Reply-To")),
        "subject": _whole(str(head["Subject"])),
        "body": body,
    }


def addresses_of(head: EmailMessage, *names: str) -> list[str]:
    """Return the bare addresses in these headers, each once."""
    headers = [head[name] for name in names if head[name] is not None]
    return list(dict.fromkeys(_whole(address.addr_spec) for header in headers for address in header.addresses))


def _whole(text: str) -> str:
    """Join what the library leaves of raw UTF-8 in a header (RFC 6532) when it reads it back."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
