"""Gives a package its face: the names that others use, whose modules load when one of them is first used.

A face of plain imports would load everything behind it, and turn two rooms that need a little of each other into a
circle. A name is looked up anew each time, so that what a test puts in its place is found.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def lazy(
    package: str, names: Mapping[str, Sequence[str]], modules: Sequence[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and the `__dir__` of a package.

    `names` says what each of its modules lends to the face; `modules` are those that others use as such.
    """
    homes = {name: module for module, lent in names.items() for name in lent}

    def look_up(name: str) -> Any:
        if name in homes:
            return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        if name in modules:
            return importlib.import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")  # noqa: EM102, TRY003

    return look_up, lambda: sorted([*homes, *modules])
