"""The failures that a sandbox can play by name: `Sandbox(failing="gmail-app-password")`.

They are data (`scenarios.toml`), read at the first use.
"""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from docmail.errors import MessageError
from docmail.language import _
from docmail.sandbox.failures import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from docmail.sandbox.certificates import Flaw

FOR_EVER = 3600.0
"""Seconds; longer than anybody rehearses."""


@dataclass(frozen=True)
class Scenario:
    """One failure; the fields are explained at the top of `scenarios.toml`."""

    name: str
    about: str
    failures: tuple[Failure, ...] = ()
    password: str | None = None
    certificate: Flaw | None = None
    offers: Mapping[str, Any] = field(default_factory=dict, hash=False)
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)


@cache
def catalogue() -> Mapping[str, Scenario]:
    """Return everything that a sandbox can play, by name."""
    text = resources.files("docmail.sandbox").joinpath("scenarios.toml").read_text(encoding="utf-8")
    return {name: _scenario(name, table) for name, table in tomllib.loads(text).items()}


def scenario(name: str) -> Scenario:
    """Return the scenario of this name; raises `MessageError`, which names the nearest, for an unknown name."""
    if found := catalogue().get(name):
        return found
    near = difflib.get_close_matches(str(name), catalogue(), n=5, cutoff=0.4)
    raise MessageError(
        _("The sandbox cannot play “{name}”.").format(name=str(name)[:60]),
        field="failing",
        hint=_("Choose one of: {names}.").format(names=", ".join(near or catalogue())),
    )


def _scenario(name: str, table: dict[str, Any]) -> Scenario:
    details = {key: table[key] for key in ("password", "certificate", "offers", "settings") if key in table}
    failures: tuple[Failure, ...] = ()
    if "at" in table:
        options = {key: table[key] for key in ("reply", "after", "mendable") if key in table}
        failures = (Failure(table["at"], table.get("does", "answer"), seconds=FOR_EVER, **options),)
    return Scenario(name, table["about"], failures, **details)
