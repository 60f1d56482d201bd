"""Judges the backends of the package keyring: which of them keep a password so that nobody else can read it.

keyring takes whatever it finds: where there is nothing better also one that writes into a plain file (priority 0.5, as
in keyrings.alt), and a chain of several. So each is judged by itself here, and used without the chain.
"""

from __future__ import annotations

from typing import Any

__all__ = ["is_plain", "keeping", "not_keeping"]


def keeping() -> list[Any]:
    """Return the backends that count, the best first: those that protect what they keep, or that somebody has named."""
    return [backend for backend in _found() if _counts(backend)]


def not_keeping() -> list[Any]:
    """Return the plain files that do not count, but into which an earlier docmail may have written."""
    return [backend for backend in _found() if is_plain(backend) and not _counts(backend)]


def is_plain(backend: Any) -> bool:
    """Say whether it is a file without encryption, as far as such a backend tells."""
    scheme = str(getattr(backend, "scheme", ""))  # of keyrings.alt and what is made like it
    encrypts = "crypt" in type(backend).__name__.lower() or (scheme and not scheme.startswith("no enc"))
    return bool(0 <= backend.priority < 1 and not encrypts)


def _found() -> list[Any]:
    import keyring  # loads when first used
    from keyring.backends.chainer import ChainerBackend
    from keyring.backends.fail import Keyring as NoKeyring

    backend: Any = keyring.get_keyring()
    chain = backend.backends if isinstance(backend, ChainerBackend) else [backend]
    return [each for each in chain if not isinstance(each, NoKeyring)]


def _counts(backend: Any) -> bool:
    # keyring's own documentation: "a priority of one or greater is recommended".
    return bool(backend.priority >= 1 or _is_named(backend))


def _is_named(backend: Any) -> bool:
    """Whether somebody has named it: in PYTHON_KEYRING_BACKEND, in keyringrc.cfg, or with keyring.set_keyring()."""
    from keyring.backend import get_all_keyring

    # What keyring has found by itself is always one of these very objects, and never one below zero.
    return backend.priority < 0 or all(backend is not found for found in get_all_keyring())
