"""The table of bad rows under an error in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell

from docmail.errors import BatchError, RowProblem
from docmail.widgets.outbox import bad_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

ERROR = BatchError(
    "40 rows of 99 cannot be sent.",
    problems=[RowProblem(number, f"k{number}", "to", "“<b>x</b>; a@example.org” is wrong.") for number in range(1, 41)],
)


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return an IPython that shows the table, as in a notebook."""
    monkeypatch.setattr(BatchError, "_render_traceback_", BatchError._render_traceback_)  # as it is now, afterwards
    shell = InteractiveShell.instance()
    publisher = CapturingDisplayPublisher(shell=shell)
    monkeypatch.setattr(shell, "display_pub", publisher)
    monkeypatch.setitem(shell.user_ns, "error", ERROR)
    before = list(shell.events.callbacks["post_run_cell"])
    bad_rows.register(shell)
    yield shell
    shell.events.callbacks["post_run_cell"][:] = before
    InteractiveShell.clear_instance()


def test_an_error_about_rows_is_followed_by_its_table_once_and_without_addresses(
    shell: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell("raise error")
    assert "BatchError: 40 rows of 99 cannot be sent." in capsys.readouterr().out
    (output,) = shell.display_pub.outputs
    html = output["data"]["text/html"]
    assert html.count("<tr>") == 31
    assert "and 10 more rows" in html
    assert "“&lt;b&gt;x&lt;/b&gt;; …@…” is wrong." in html
    assert "k30  to     “<b>x</b>; …@…” is wrong." in output["data"]["text/plain"]
    shell.run_cell("1")
    assert len(shell.display_pub.outputs) == 1


def test_an_error_that_is_caught_shows_nothing(shell: Any) -> None:
    shell.run_cell("try:\n    raise error\nexcept Exception:\n    pass")
    assert shell.display_pub.outputs == []
