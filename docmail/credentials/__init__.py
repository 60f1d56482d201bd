"""Keeps the password of one account out of everything that can be saved, shown or logged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.credentials.checks import check_key, first_strange, tidied
    from docmail.credentials.environment import from_variable, key_from_variable
    from docmail.credentials.keyring_store import has_keyring, keyring_in_words
    from docmail.credentials.lending import lenders
    from docmail.credentials.store import (
        Secret,
        Where,
        ask,
        forget,
        get,
        provide,
        set,  # noqa: A004 - contract
        where,
        why_not_kept,
        withdraw,
    )

__all__ = [
    "Secret",
    "Where",
    "ask",
    "check_key",
    "first_strange",
    "forget",
    "from_variable",
    "get",
    "has_keyring",
    "key_from_variable",
    "keyring_in_words",
    "lenders",
    "provide",
    "set",
    "tidied",
    "where",
    "why_not_kept",
    "withdraw",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "checks": ("check_key", "first_strange", "tidied"),
            "environment": ("from_variable", "key_from_variable"),
            "keyring_store": ("has_keyring", "keyring_in_words"),
            "lending": ("lenders",),
            "store": ("Secret", "Where", "ask", "forget", "get", "provide", "set", "where", "why_not_kept", "withdraw"),
        },
    )
