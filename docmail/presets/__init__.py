"""Knows the providers and mail services, and the guides that set them up: facts that change outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.presets import services
    from docmail.presets.catalogue import (
        Guide,
        by_address,
        by_host,
        by_mx,
        by_name,
        established,
        guide,
        guides,
        host_of,
        messages,
        of_account,
        owner_of,
        presets,
        same_owner,
        size_limit,
        steps,
        take_note,
        tidy_password,
    )
    from docmail.presets.organisation import Organisation, Provider, current_organisation, organisation_places
    from docmail.presets.preset import Preset
    from docmail.presets.services import Service

__all__ = [
    "Guide",
    "Organisation",
    "Preset",
    "Provider",
    "Service",
    "by_address",
    "by_host",
    "by_mx",
    "by_name",
    "current_organisation",
    "established",
    "guide",
    "guides",
    "host_of",
    "messages",
    "of_account",
    "organisation_places",
    "owner_of",
    "presets",
    "same_owner",
    "services",
    "size_limit",
    "steps",
    "take_note",
    "tidy_password",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "catalogue": (
                "Guide",
                "by_address",
                "by_host",
                "by_mx",
                "by_name",
                "established",
                "guide",
                "guides",
                "host_of",
                "messages",
                "of_account",
                "owner_of",
                "presets",
                "same_owner",
                "size_limit",
                "steps",
                "take_note",
                "tidy_password",
            ),
            "organisation": ("Organisation", "Provider", "current_organisation", "organisation_places"),
            "preset": ("Preset",),
            "services": ("Service",),
        },
        modules=("services",),
    )
