"""Knows the providers and mail services, and the guides that set them up: facts that change outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.presets import filled_in, services
    from docmail.presets.catalogue import (
        Guide,
        Preset,
        by_address,
        by_host,
        by_mx,
        by_name,
        established,
        guide,
        guides,
        messages,
        presets,
        size_limit,
        steps,
        tidy_password,
    )
    from docmail.presets.filled_in import owner_of
    from docmail.presets.services import Service

__all__ = [
    "Guide",
    "Preset",
    "Service",
    "by_address",
    "by_host",
    "by_mx",
    "by_name",
    "established",
    "filled_in",
    "guide",
    "guides",
    "messages",
    "owner_of",
    "presets",
    "services",
    "size_limit",
    "steps",
    "tidy_password",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "catalogue": (
                "Guide",
                "Preset",
                "by_address",
                "by_host",
                "by_mx",
                "by_name",
                "established",
                "guide",
                "guides",
                "messages",
                "presets",
                "size_limit",
                "steps",
                "tidy_password",
            ),
            "filled_in": ("owner_of",),
            "services": ("Service",),
        },
        modules=("filled_in", "services"),
    )
