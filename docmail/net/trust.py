"""Encrypts a connection to the server whose certificate the settings trust, and to no other."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from docmail.errors import Field, Guide, Kind, Phase, SendError, TLSError
from docmail.language import _
from docmail.net.advice import FOR_SMTP
from docmail.net.tls import fingerprint, matches, read_certificate, tls_context, tls_failure
from docmail.settings import fingerprint_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.net.advice import Advice
    from docmail.net.connection import Connection
    from docmail.net.deadline import Deadline


class Trust:
    """Which certificate counts: the pinned one, or one of the system's authorities and those of a CA file."""

    def __init__(self, pinned: str | None, ca_file: str | None, advice: Advice = FOR_SMTP) -> None:
        self._pinned = fingerprint_bytes(pinned) if pinned else None
        self._ca_file = ca_file
        self._advice = advice
        self._context: ssl.SSLContext | None = None

    def encrypt(
        self, connection: Connection, deadline: Deadline, unverified: Callable[[], bytes | None], *, starttls: bool
    ) -> None:
        """Begin TLS; raises `TLSError` in words.

        `unverified` returns the certificate that could not be verified, by a second connection: the library gives no
        access to it after a failed check.
        """
        context = self._rules()
        try:
            connection.encrypt(context, deadline)
        except SendError:
            raise  # stopped by a person
        except OSError as exc:
            connection.close()
            shown = unverified() if isinstance(exc, ssl.CertificateError) else None
            raise tls_failure(
                exc, connection.host, connection.port, shown, starttls=starttls, advice=self._advice
            ) from exc
        if self._pinned is not None and not matches(connection.certificate(), self._pinned):
            raise self._other(connection.host, connection.certificate(), self._pinned)

    def _rules(self) -> ssl.SSLContext:
        # Once for all connections: reading the system's authorities takes longer than a handshake.
        if self._context is None:
            try:
                self._context = tls_context(self._path, verify=self._pinned is None)
            except (OSError, ssl.SSLError) as exc:
                raise TLSError(
                    _("The CA file {path} cannot be used.").format(path=self._ca_file),
                    kind=Kind.CONFIG,
                    guide=Guide.CERTIFICATES,
                    **self._advice.of(Phase.TLS, Field.CA_FILE, _("Give a file with certificates in PEM form.")),
                ) from exc
        return self._context

    @property
    def _path(self) -> Path | None:
        # As settings/servers.py has looked for it; Path's own raises for an unknown ~user.
        return Path(os.path.expanduser(self._ca_file)) if self._ca_file else None  # noqa: PTH111

    def _other(self, host: str, certificate: bytes, pinned: bytes) -> TLSError:
        shown = fingerprint(certificate)
        hint = _(
            "Compare the new fingerprint with the one that the server's administrator gives you before you trust it."
        )
        return TLSError(
            _("{host} does not show the certificate that you trust. Its fingerprint is {shown}, not {pinned}.").format(
                host=host, shown=shown, pinned=pinned.hex(":").upper()
            ),
            kind=Kind.CONFIG,
            guide=Guide.CERTIFICATES,
            fingerprint=shown,
            certificate=read_certificate(certificate),
            **self._advice.of(Phase.TLS, Field.FINGERPRINT, hint),
        )
