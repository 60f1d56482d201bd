"""A document that is no longer what was written down is never delivered, and what was delivered is never a failure.

After the last octet of what was announced the server has a whole mail. So whatever has changed is noticed before.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

import docmail
from docmail.documents import Document
from docmail.errors import DocumentError, MessageError
from docmail.message import Message, draft
from docmail.outbox import Outbox
from docmail.outbox.spool import Spool
from docmail.sandbox import Sandbox
from docmail.settings import Security
from docmail.transport import open_transport
from tests.support.scripted import EXTENSIONS, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from docmail.message import Mail
    from docmail.settings import Settings

SIZE = 600_000  # three of them are more than any buffer on the way holds, and no more than any service takes
CONTENTS = [b"%PDF-1.4\n" + bytes([65 + number]) * SIZE + b"\n%%EOF\n" for number in range(3)]


def shorter(path: Path) -> None:
    with path.open("rb+") as file:
        file.truncate(path.stat().st_size - 1)


def far_shorter(path: Path) -> None:
    with path.open("rb+") as file:
        file.truncate(SIZE // 2)


def longer(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"%")


def far_longer(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"%" * SIZE)


def other_octets(path: Path) -> None:
    """Change the last octet, and nothing about the size."""
    with path.open("rb+") as file:
        file.seek(-1, 2)
        file.write(b"%")


CHANGES = [shorter, far_shorter, longer, far_longer, other_octets]


class Way:
    """A server, the settings that lead to it, and how many whole mails it has got."""

    def __init__(self, name: str, stack: ExitStack) -> None:
        if name in {"data", "bdat"}:
            extensions = (*EXTENSIONS, "CHUNKING") if name == "bdat" else ("SIZE 30000000",)
            server = stack.enter_context(ScriptedServer(extensions=extensions))
            where = docmail.SmtpServer("127.0.0.1", server.port, Security.NONE)
            self.settings: Settings = docmail.Settings("accounts@example.com", where)
            self.arrived: Callable[[], int] = lambda: sum(mail.complete for mail in server.mails)
            return
        box = stack.enter_context(Sandbox())
        self.settings = {"form": box.settings_for("form")}.get(name) or box.settings_for(name)
        self.arrived = lambda: len(box.inbox)


@pytest.fixture(params=["data", "bdat", "form", "gmail", "graph", "mailgun", "postmark"])
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    with ExitStack() as stack:
        yield Way(str(request.param), stack)


def written_down(folder: Path, settings: Settings, *documents: bytes) -> Outbox:
    """Return an outbox with a small mail, and one with these documents."""
    outbox = Outbox(folder)
    outbox.add(Message("cfo@example.com", "Hello"), settings=settings)
    files = [Document.of(content, name=f"{number}.pdf") for number, content in enumerate(documents)]
    outbox.add(Message("cfo@example.com", "Q3", "Attached.", files), settings=settings)
    return outbox


def spooled(outbox: Outbox, number: int = 0) -> Path:
    *_others, row = outbox
    return outbox.folder / "spool" / row.contents[number]


def mails_of(outbox: Outbox) -> list[Mail]:
    return [outbox._store.journal.mail(row.id) for row in outbox]


@pytest.mark.parametrize("change", CHANGES)
def test_a_content_that_was_changed_before_is_not_delivered_and_fails(
    way: Way, change: Callable[[Path], None], tmp_path: Path
) -> None:
    """By BDAT, what had grown was cut where it had been announced to end, delivered, and recorded as failed."""
    outbox = written_down(tmp_path, way.settings, *CONTENTS)
    change(spooled(outbox, 2))
    outbox.add(Message("cfo@example.com", "Q4"), settings=way.settings)
    assert outbox.run(settings=way.settings) == {"sent": 2, "failed": 1}
    assert way.arrived() == 2
    hello, changed, other = outbox
    assert (hello.state, changed.state, other.state) == ("sent", "failed", "sent")
    assert "changed" in changed.reason
    assert {each.state for each in changed.recipients.values()} == {"failed"}


@pytest.mark.parametrize("number", [0, 2])
@pytest.mark.parametrize("change", CHANGES)
def test_a_content_that_is_changed_while_it_is_sent_is_not_delivered(
    way: Way, change: Callable[[Path], None], number: int, tmp_path: Path
) -> None:
    outbox = written_down(tmp_path, way.settings, *CONTENTS)
    hello, mail = mails_of(outbox)
    changed: list[Path] = []

    def progress(_sent: int, _size: int) -> None:
        if not changed:  # the first pieces have gone, those of the end have not been read
            changed.append(spooled(outbox, number))
            change(changed[0])

    with open_transport(way.settings) as transport:
        transport.send(hello)
        with pytest.raises(MessageError, match="chang"):
            transport.send(mail, progress)
        assert changed
        assert not transport.in_doubt
    assert way.arrived() == 1


def test_what_the_server_says_counts_when_a_content_changes_after_the_last_octet(tmp_path: Path) -> None:
    with ExitStack() as stack:
        changed: list[Path] = []

        def spoil(_session: Any) -> None:
            changed.append(spooled(outbox))
            far_longer(changed[0])

        script = {"BDAT": [(spoil, "250 taken")]}
        server = stack.enter_context(ScriptedServer(script, extensions=(*EXTENSIONS, "CHUNKING")))
        settings = docmail.Settings("accounts@example.com", docmail.SmtpServer("127.0.0.1", server.port, Security.NONE))
        outbox = written_down(tmp_path, settings, CONTENTS[0])
        assert outbox.run(settings=settings) == {"sent": 2}
        assert changed
        assert server.mails[-1].complete


def test_a_content_that_several_mails_share_is_checked_for_all_of_them(tmp_path: Path) -> None:
    """It is encoded once for all mails, and must have been checked then."""
    with ScriptedServer(extensions=(*EXTENSIONS, "CHUNKING")) as server:
        settings = docmail.Settings("accounts@example.com", docmail.SmtpServer("127.0.0.1", server.port, Security.NONE))
        outbox = Outbox(tmp_path)
        for number in range(3):
            outbox.add(Message("cfo@example.com", f"Q{number}", "", CONTENTS[0]), settings=settings)
        other_octets(spooled(outbox))
        assert outbox.run(settings=settings) == {"failed": 3}
        assert not any(mail.complete for mail in server.mails)
        # The same document, given again, takes the place of the spoilt one.
        outbox.add(Message("cfo@example.com", "Q3", "", CONTENTS[0]), settings=settings)
        assert outbox.retry() == 3
        assert outbox.run(settings=settings)["sent"] == 4


def of_long_ago(path: Path) -> Path:
    """Write a file, long enough ago that any change has another time, by the clock of any file system."""
    path.write_bytes(CONTENTS[0])
    os.utime(path, (0, 0))
    return path


def test_a_file_that_is_changed_while_it_is_written_down_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "Q3.pdf"
    for change in CHANGES:
        document = Document.of(of_long_ago(path))
        pieces = document.pieces(1000)
        next(pieces)
        change(path)
        with pytest.raises(DocumentError, match="has changed"):
            list(pieces)
        spool = Spool(tmp_path / "spool")
        spool.make()
        with pytest.raises(DocumentError, match="has changed"):
            spool.take(document)
        assert list((tmp_path / "spool").iterdir()) == []


def test_a_file_that_is_sent_without_being_written_down_is_checked_as_well(way: Way, tmp_path: Path) -> None:
    path = tmp_path / "Q3.pdf"
    message = Message("cfo@example.com", "Q3", "Attached.", of_long_ago(path))
    mail = message.render(way.settings)

    def progress(_sent: int, _size: int) -> None:
        other_octets(path)

    with open_transport(way.settings) as transport, pytest.raises(MessageError, match="has changed"):
        transport.send(mail, progress)
    assert way.arrived() == 0
    with pytest.raises(DocumentError, match="has changed"):
        draft(message, way.settings)
