"""How large something is stands there as people say it, and two sizes that differ never look alike."""

from __future__ import annotations

import pytest

from docmail.text import size_and_limit, size_of


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (26_214_400, "26.2 MB"),
    ],
)
def test_a_size_is_said_in_the_unit_that_fits_it(octets: int, said: str) -> None:
    assert size_of(octets) == said


@pytest.mark.parametrize(
    ("octets", "limit", "said"),
    [
        (411_000, 100_000, ("411 kB", "100 kB")),
        (25_000_001, 25_000_000, ("25,000,001 bytes", "25,000,000 bytes")),
        (1200, 0, ("1 kB", "0 bytes")),
        (52_430_000, 52_428_800, ("52,430,000 bytes", "52,428,800 bytes")),
    ],
)
def test_a_size_above_a_limit_looks_larger_than_the_limit(octets: int, limit: int, said: tuple[str, str]) -> None:
    assert size_and_limit(octets, limit) == said
