"""The text of a mail in a batch: with a look and without one, beside what a mail costs without any text.

Each mail says something else, as in a merge, so that nothing is remembered but the look. The figure is the time of the
processor for a mail, and the share that the look has in it.
"""

from __future__ import annotations

import time

from docmail.look import Look
from docmail.message import Message
from docmail.settings import Settings
from tests.support.mails import LETTERHEAD, SERVER

MAILS = 500
ROUNDS = 5
TEXT = """Dear {name},

please find attached invoice **INV-{number}** for November. It is due on *31 December 2026*.

| Description | Hours | Amount |
|---|--:|--:|
| Consulting | 12 | {number}.00 |
| Report and presentation | 4.5 | 4,400.25 |

- by transfer, with the number of the invoice
- or [online](https://pay.example.com/INV-{number})

Kind regards
"""


def _measure(look: Look, text: str, first: int) -> float:
    settings = Settings("Example Ltd <accounts@example.com>", SERVER, look=look)
    messages = [
        Message("ann@example.com", "Invoice", text.format(name=f"Ann {number}", number=number))
        for number in range(first, first + MAILS)
    ]
    began = time.process_time()
    for message in messages:
        message.render(settings)
    return (time.process_time() - began) / MAILS * 1000


def main() -> None:
    """Print how long a mail takes."""
    first = iter(range(1, 10**9, MAILS))
    kinds = {
        "no text": (Look.PLAIN, ""),
        "one line": (Look.PLAIN, "Attached, {name}."),
        "no look": (Look.PLAIN, TEXT),
        "a look with a logo": (LETTERHEAD, TEXT),
    }
    # In turns, so that what else the computer does is in all of them alike; the best round of each counts.
    found = {
        kind: min(times) for kind, times in zip(kinds, zip(*[
            [_measure(look, text, next(first)) for look, text in kinds.values()] for _round in range(ROUNDS)
        ], strict=True), strict=True)
    }  # fmt: skip
    print(f"{MAILS} mails, rendered: milliseconds of the processor for each")
    for kind, milliseconds in found.items():
        print(f"  {kind:20} {milliseconds:6.3f} ms  {milliseconds / found['no look']:5.2f} of a mail without a look")


if __name__ == "__main__":
    main()
