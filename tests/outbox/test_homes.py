"""Mail is recorded in the home of its settings, whatever sandbox is open, and real mail never in a sandbox's folder."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import docmail
from docmail import credentials
from docmail import home as homes
from docmail.command_line import main
from docmail.errors import DocmailError, MessageError, SettingsError
from docmail.outbox import Outbox, resending, search
from docmail.sandbox import Sandbox
from docmail.widgets.outbox.history_view import HistoryView
from tests.support.scripted import PASSWORD, ScriptedServer, settings_for
from tests.widgets.outbox.test_history_view import press

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PDF = b"%PDF-1.4\n1 0 obj\n%%EOF\n"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """Return a mail server that is no sandbox."""
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def real(server: ScriptedServer) -> docmail.Settings:
    """Return settings for it that were made by hand."""
    settings = settings_for(server)
    credentials.set(settings, PASSWORD, remember=False)
    return settings


def message(key: str = "1", to: str = "c@example.com") -> docmail.Message:
    return docmail.Message(to, f"No. {key}", key=key)


def subjects(folder: Path) -> list[str]:
    if not search.has_history(folder):
        return []
    with closing(Outbox(folder)) as outbox:
        return [row.subject for row in outbox]


def mine() -> list[str]:
    return subjects(homes.user_home().outbox)


def rehearsed(box: Sandbox) -> list[str]:
    return subjects(box.folder / "outbox")


# --- an open sandbox, and settings made by hand -----------------------------------------------------------------------


def test_a_batch_of_settings_made_by_hand_is_recorded_where_send_records_it(
    server: ScriptedServer, real: docmail.Settings
) -> None:
    """It was recorded in the sandbox's folder, which is deleted."""
    with Sandbox() as box:
        docmail.send(PDF, to="c@example.com", subject="No. 0", settings=real)
        outbox = Outbox()
        outbox.add_all([message("1"), message("2")], batch="b", settings=real)
        assert len(outbox.preview(5)) == 2
        assert outbox.run(batch="b", settings=real) == {"sent": 2}
        assert len(outbox) == 3
        assert rehearsed(box) == []
    assert mine() == ["No. 0", "No. 1", "No. 2"]
    assert len(server.mails) == 3


def test_a_key_that_send_has_used_is_known_to_the_outbox(real: docmail.Settings) -> None:
    with Sandbox():
        docmail.send(PDF, to="c@example.com", subject="x", settings=real, key="q3")
        with pytest.raises(MessageError, match="q3"):
            Outbox().add(message("q3"), settings=real)


def test_a_run_goes_through_the_record_of_its_settings(server: ScriptedServer, real: docmail.Settings) -> None:
    with closing(Outbox()) as outbox:
        outbox.add(message(), settings=real)
    with Sandbox() as box:
        assert Outbox().run(settings=real) == {"sent": 1}
        assert rehearsed(box) == []
    assert len(server.mails) == 1


@pytest.mark.parametrize(
    "use",
    [
        lambda outbox, settings: outbox.add(message("9"), settings=settings),
        lambda outbox, settings: outbox.add_all([message("9")], batch="b", settings=settings),
        lambda outbox, settings: outbox.run(settings=settings),
        lambda outbox, settings: outbox.run(settings=settings, redirect_to="me@example.com"),
    ],
    ids=["add", "add_all", "run", "rehearse"],
)
@pytest.mark.parametrize("given", ["used", "path"])
def test_an_outbox_says_whose_it_is_to_mail_of_another_home(
    server: ScriptedServer, real: docmail.Settings, use: Any, given: str
) -> None:
    """Its numbers would mean other mails in another record, so one that was used does not change."""
    with Sandbox() as box:
        theirs = Outbox() if given == "used" else Outbox(box.folder / "outbox")
        ours = Outbox(homes.user_home().outbox)
        theirs.add(message("1"), settings=box.settings)
        ours.add(message("2"), settings=real)
        for outbox, settings, folder in (
            (theirs, real, homes.user_home().outbox),
            (ours, box.settings, box.folder / "outbox"),
        ):
            with pytest.raises(MessageError) as caught:
                use(outbox, settings)
            assert str(folder) in caught.value.hint
            assert [row.state for row in outbox] == ["queued"]
        assert len(box.inbox) == len(server.mails) == 0
        assert (mine(), rehearsed(box)) == (["No. 2"], ["No. 1"])
        # And it does as it says.
        assert Outbox(homes.user_home().outbox).run(settings=real) == {"sent": 1}
        assert theirs.run(settings=box.settings) == {"sent": 1}


def test_a_folder_that_is_no_homes_takes_what_it_is_given(tmp_path: Path, real: docmail.Settings, box: Sandbox) -> None:
    outbox = Outbox(tmp_path / "record")
    outbox.add(message("1"), settings=real)
    outbox.add(message("2"), settings=box.settings)
    assert (mine(), rehearsed(box)) == ([], [])


def test_a_folder_in_a_sandboxs_folder_is_the_sandboxs_also_by_another_name(
    tmp_path: Path, real: docmail.Settings
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "box", target_is_directory=True)
    with Sandbox(tmp_path / "box"):
        for folder in (tmp_path / "box" / "deep" / "record", tmp_path / "link" / "outbox"):
            with pytest.raises(MessageError, match="recorded in"):
                Outbox(folder).add(message(), settings=real)
    with pytest.raises(MessageError, match="recorded in"):  # closed, it is one all the same
        Outbox(tmp_path / "box" / "outbox").add(message(), settings=real)


# --- without settings: those of its own home --------------------------------------------------------------------------


def test_what_waits_for_a_real_account_is_not_sent_into_a_sandbox_that_opens(
    server: ScriptedServer, real: docmail.Settings
) -> None:
    """It counted as sent, and nobody got it."""
    real.save()
    credentials.set(docmail.Settings.load(), PASSWORD, remember=False)
    outbox = Outbox()
    outbox.add(message())
    with Sandbox(username=real.address.addr_spec) as box:
        box.settings.save()
        assert box.settings.address == real.address
        assert outbox.run() == {"sent": 1}
        assert (len(box.inbox), len(server.mails)) == (0, 1)
        assert Outbox().folder == box.folder / "outbox"


def test_of_nested_sandboxes_each_sends_its_own_mail() -> None:
    with Sandbox() as outer:
        outer.settings.save()
        outbox = Outbox()
        outbox.add(message("outer"))
        with Sandbox() as inner:
            inner.settings.save()
            Outbox().add(message("inner"))
            assert outbox.run() == {"sent": 1}
            assert [mail.subject for mail in outer.inbox] == ["No. outer"]
            assert len(inner.inbox) == 0
            docmail.send(PDF, to="c@example.com", subject="x", settings=outer.settings)
            assert (rehearsed(outer), rehearsed(inner)) == (["No. outer", "x"], ["No. inner"])


@pytest.mark.parametrize(
    "use",
    [
        lambda _outbox, settings: docmail.send(PDF, to="c@example.com", subject="x", settings=settings),
        lambda _outbox, settings: Outbox().add(message("2"), settings=settings),
        lambda outbox, _settings: outbox.add(message("2")),
        lambda outbox, _settings: outbox.run(),
    ],
    ids=["send", "another outbox", "add", "run"],
)
def test_a_sandbox_that_is_closed_takes_and_sends_nothing(
    use: Any, server: ScriptedServer, real: docmail.Settings
) -> None:
    """Its outbox took the settings that were in force then: the real account's."""
    real.save()
    with Sandbox() as box:
        box.settings.save()
        settings, folder, outbox = box.settings, box.folder, Outbox()
        outbox.add(message())
    with pytest.raises(SettingsError, match="is closed"):
        use(outbox, settings)
    assert not folder.exists()
    assert mine() == []
    assert server.mails == []


def test_the_shared_sandbox_as_the_selected_profile_is_the_outboxs_home_as_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    box = Sandbox.shared()
    try:
        box.inbox.clear()
        homes.end_rehearsal(box.settings.home)  # type: ignore[arg-type]  # as another program sees it
        monkeypatch.setenv("DOCMAIL_PROFILE", "sandbox")
        docmail.send(PDF, to="c@example.com", subject="x")
        outbox = Outbox()
        assert [row.subject for row in outbox] == ["x"]
        outbox.add(message())
        assert outbox.run() == {"sent": 2}
        assert main(["outbox", "list"]) == 0
        assert "No. 1" in capsys.readouterr().out
        assert mine() == []
    finally:
        homes.begin_rehearsal(box.settings.home)  # type: ignore[arg-type]
        box.close()


# --- a sandbox's settings that lead elsewhere -------------------------------------------------------------------------


def test_mail_to_a_real_server_is_recorded_with_the_user_also_if_its_settings_were_saved_in_a_sandbox(
    real: docmail.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a person has them who fills in the settings form while a sandbox is open; the record went with the sandbox."""
    look_up = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *more, **options: look_up("127.0.0.1" if host == "mail.real.example" else host, *more, **options),
    )
    with Sandbox() as box:
        elsewhere = replace(real, server=docmail.SmtpServer("mail.real.example", real.account.port, username="c"))
        elsewhere.save()
        loaded = docmail.Settings.load()
        assert loaded.home == box.settings.home
        credentials.set(loaded, PASSWORD, remember=False)
        with pytest.raises(DocmailError):  # it knows no TLS; what matters is where that is written down
            docmail.send(PDF, to="c@example.com", subject="x")
        Outbox().add(message())
        assert rehearsed(box) == []
        assert search.folder_of(loaded) == homes.user_home().outbox
    assert mine() == ["x", "No. 1"]


@pytest.mark.parametrize("failing", ["name-not-found", "wrong-port", "wrong-password"])
def test_what_fails_in_a_sandbox_is_recorded_there(failing: str) -> None:
    with Sandbox(failing=failing) as box:
        with pytest.raises(DocmailError):
            docmail.send(PDF, to="c@example.com", subject="x", settings=box.settings, timeout=5)
        assert rehearsed(box) == ["x"]
        assert mine() == []


def test_no_sandbox_opens_where_the_users_own_mail_is_recorded(home: Path) -> None:
    with pytest.raises(SettingsError, match="no sandbox opens there"):
        Sandbox(home / "docmail").start()
    assert not (home / "docmail" / homes.SANDBOX_FILE).exists()


# --- looking back -----------------------------------------------------------------------------------------------------


def test_a_mail_is_sent_again_through_the_account_of_its_own_record(
    server: ScriptedServer, real: docmail.Settings
) -> None:
    """The view of the user's outbox took the settings of a sandbox that was opened later."""
    real.save()
    credentials.set(docmail.Settings.load(), PASSWORD, remember=False)
    docmail.send(PDF, to="c@example.com", subject="x")
    (row,) = Outbox()
    view = HistoryView(Outbox().folder)
    with Sandbox(username=real.address.addr_spec) as box:
        box.settings.save()
        view.screen._handle_custom_msg({"ready": True}, [])
        for action in ("open", "again", "send"):
            shown = press(view, action, row.id)
        assert "Sent to" in shown
        assert (len(server.mails), len(box.inbox)) == (2, 0)
        with pytest.raises(MessageError, match="recorded in"):
            resending.send_again(Outbox(homes.user_home().outbox).folder, row.id, box.settings)
    assert mine() == ["x", "x"]


def test_a_home_behind_a_link_is_the_same_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the home folders of clusters are; the command line opens the shared sandbox's record by its path."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk", target_is_directory=True)
    monkeypatch.setenv("DOCMAIL_HOME", str(tmp_path / "link" / "docmail"))
    box = Sandbox.shared()
    try:
        homes.end_rehearsal(box.settings.home)  # type: ignore[arg-type]  # as another program sees it
        settings = docmail.Settings.load("sandbox")
        Outbox(box.folder / "outbox").add(message(), settings=settings)
        assert main(["outbox", "run", "--profile", "sandbox"]) == 0
        assert len(box.inbox) == 1
    finally:
        homes.begin_rehearsal(box.settings.home)  # type: ignore[arg-type]
        box.close()


def test_threads_that_use_a_new_outbox_at_once_find_the_same_record(real: docmail.Settings) -> None:
    with Sandbox() as box, ThreadPoolExecutor(8) as threads:
        outbox = Outbox()
        numbers = list(threads.map(lambda key: outbox.add(message(str(key)), settings=real), range(20)))
        assert len(set(numbers)) == len(outbox) == 20
        assert rehearsed(box) == []
