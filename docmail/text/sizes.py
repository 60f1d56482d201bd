"""Says how large something is, as people say it."""

from __future__ import annotations

from docmail.language import _

__all__ = ["size_and_limit", "size_of"]


def size_of(octets: int) -> str:
    """Return so many octets as text: “1.4 MB”."""
    if octets < 1000:  # noqa: PLR2004
        return _("{number} bytes").format(number=octets)
    if octets < 999_500:  # noqa: PLR2004
        return _("{number} kB").format(number=round(octets / 1000))
    return _("{number} MB").format(number=f"{octets / 1e6:.1f}")


def size_and_limit(octets: int, limit: int) -> tuple[str, str]:
    """Return both as text, to the byte where they would look alike: 25,000,001 is more than 25,000,000."""
    size, most = size_of(octets), size_of(limit)
    if size != most:
        return size, most
    return _("{number} bytes").format(number=f"{octets:,}"), _("{number} bytes").format(number=f"{limit:,}")
