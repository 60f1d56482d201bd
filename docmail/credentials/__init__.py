"""Keeps the password of one account out of everything that can be saved, shown or logged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.credentials.lending import lenders
    from docmail.credentials.store import (
        Secret,
        Where,
        ask,
        check_key,
        first_strange,
        forget,
        from_variable,
        get,
        key_from_variable,
        keyring_in_words,
        provide,
        set,  # noqa: A004 - contract
        tidied,
        where,
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
    "key_from_variable",
    "keyring_in_words",
    "lenders",
    "provide",
    "set",
    "tidied",
    "where",
    "withdraw",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "lending": ("lenders",),
            "store": (
                "Secret",
                "Where",
                "ask",
                "check_key",
                "first_strange",
                "forget",
                "from_variable",
                "get",
                "key_from_variable",
                "keyring_in_words",
                "provide",
                "set",
                "tidied",
                "where",
                "withdraw",
            ),
        },
    )
