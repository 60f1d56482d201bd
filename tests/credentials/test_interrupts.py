"""Wherever an interrupt strikes, no variable of a traceback in verbose mode holds a password."""

from __future__ import annotations

import linecache
import random
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any

import keyring
import pytest
from IPython.core.ultratb import VerboseTB

from docmail import credentials, presets
from docmail.documents import Document
from docmail.presets.preset import built_in
from docmail.replies import clean, redact
from docmail.reports import Report
from docmail.secret import Secret
from docmail.settings import Settings, SmtpServer
from tests.support.memory_keyring import MemoryKeyring

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

PASSWORD = "zebra-crossing-1970"
PDF = Report("Payslip").text("secret words").pdf()
ACCOUNT = Settings("Accounts", SmtpServer("smtp.gmail.com", username="accounts@gmail.com"))

PLACES = 200


def lock() -> None:
    Document.of(PDF, password=PASSWORD)


def keep() -> None:
    keyring.set_keyring(MemoryKeyring())
    built_in.cache_clear()  # so that a new kernel's first look at the providers is among the places
    credentials.set(ACCOUNT, PASSWORD)
    credentials.get(ACCOUNT)


def tidy() -> None:
    for blanks in ("abcd efgh ijkl mnop", PASSWORD):
        presets.tidy_password("smtp.gmail.com", blanks)


def hide() -> None:
    secret = Secret(PASSWORD)
    clean(["535-5.7.8 <b>No</b>", "535 5.7.8 " + "enRl a " * 5], secret)
    redact("535 5.7.8 Not accepted", secret)


def _run(work: Callable[[], None], strike: int = -1) -> tuple[int, BaseException | None]:
    """Run and count the lines that the main thread goes through; an interrupt comes at the line of that number.

    Or at the next that begins no `with`: Python looks for real interrupts in other places, and comes by such a line
    once more at its end, where a lock would never be released. Neither does it strike inside Python's own locks: what
    is raised in the middle of them leaves half a lock behind, and in Python 3.11.2 an exception that all later ones
    have as their context.
    """
    lines, struck, over = 0, None, strike < 0

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal lines, over
        if event == "line":
            lines += 1
            if lines >= strike and not over and frame.f_code.co_filename != threading.__file__:
                line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
                if not line.lstrip().startswith("with "):
                    over = True
                    raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt as exc:
        struck = exc
    finally:
        sys.settrace(before)
    return lines, struck


def _chain(exc: BaseException | None) -> list[BaseException]:
    return [exc, *_chain(exc.__cause__ or exc.__context__)] if exc else []


def _frames(exc: BaseException) -> list[FrameType]:
    """Return the frames below those of this file: what a person's own cell holds is hers to know."""
    frames = [frame for each in _chain(exc) for frame, _line in traceback.walk_tb(each.__traceback__)]
    return [frame for frame in frames if frame.f_code.co_filename != __file__]


@pytest.mark.parametrize(
    "work",
    [lock, keep, tidy, hide],
    ids=["the password of a PDF", "the password of an account", "the blanks of a password", "redaction"],
)
def test_an_interrupt_at_any_place_shows_no_password(work: Callable[[], None]) -> None:
    """49 of 60 showed that of a PDF: pypdf hands it from function to function in clear."""
    work()  # what is imported once is
    count, _none = _run(work)
    # At the very first lines the caller's own argument has not been taken out of sight yet.
    places = random.Random(1970).sample(range(10, count), min(PLACES, count - 10))  # noqa: S311 - places, no secrets
    seen = 0
    for place in places:
        _lines, struck = _run(work, place)
        if struck is None:
            continue  # Python ignores what is raised while it tidies an object up
        for frame in _frames(struck):
            seen += 1
            for name, value in frame.f_locals.items():
                assert not isinstance(value, (str, bytes)) or PASSWORD not in str(value), (place, name, frame)
    assert seen > len(places) // 2


def test_the_most_verbose_traceback_of_an_interrupt_shows_no_password() -> None:
    """As `%xmode Verbose` shows it, at some of these places."""
    count, _none = _run(lock)
    for place in random.Random(1971).sample(range(10, count), 20):  # noqa: S311 - as above
        _lines, struck = _run(lock, place)
        if struck is None:
            continue
        below = struck.__traceback__
        while below is not None and below.tb_frame.f_code.co_filename == __file__:
            below = below.tb_next
        text = "\n".join(VerboseTB(theme_name="nocolor").structured_traceback(type(struck), struck, below))
        assert PASSWORD not in text
