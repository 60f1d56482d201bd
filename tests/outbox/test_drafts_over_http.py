"""Drafts through Microsoft Graph and the Gmail API: each once, where the token allows it, and nothing is sent."""

from __future__ import annotations

import email
from dataclasses import replace
from email import policy
from typing import TYPE_CHECKING, Any

import pytest

import docmail
from docmail.errors import AuthenticationError, ConnectError, OutcomeUnknown, SettingsError
from docmail.outbox import Outbox, can_save_drafts
from docmail.sandbox import SANDBOX_PASSWORD
from docmail.settings import SignIn
from docmail.widgets.mail.form import MailForm

if TYPE_CHECKING:
    from docmail import Sandbox
    from docmail.sandbox.graph_drafts import Drafts
    from docmail.settings import Settings

PDF = b"%PDF-1.4\n1 0 obj\n%%EOF\n"
LARGE = b"%PDF-1.7\n" + bytes(range(256)) * 16_000 + b"\n%%EOF\n"
SERVICES = ["graph", "gmail"]


def settings(box: Sandbox, api: str, **changes: Any) -> Settings:
    found = replace(box.settings_for(api), **changes)
    docmail.credentials.set(found, SANDBOX_PASSWORD, remember=False)
    return found


def outbox(box: Sandbox) -> Outbox:
    return Outbox(box.settings_for("graph").recorded_in.outbox)


def message(number: int = 1, document: bytes = PDF) -> docmail.Message:
    return docmail.Message(
        f"c{number}@example.com", f"Invoice {number}", "Dear **all**,", document, bcc="boss@example.com"
    )


def saved(box: Sandbox, drafts: Drafts) -> list[bytes]:
    """Return the drafts of both services."""
    in_gmail = [each.raw for each in box.mailbox["Drafts"]]
    return in_gmail or [each.mail.content for each in drafts._drafts.values()]


@pytest.mark.parametrize("api", SERVICES)
def test_a_draft_is_saved_once_with_its_blind_copies_and_nothing_is_sent(
    api: str, service: Sandbox, drafts: Drafts
) -> None:
    mine = settings(service, api, copy_to="archive@example.com", reply_to=("office@example.com",))
    found = outbox(service).save_drafts([message(1), message(2)], settings=mine)
    assert str(found) == "2 drafts were saved in the folder Drafts of the mailbox; nothing was sent."
    again = outbox(service).save_drafts([message(1), message(2), message(3)], settings=mine)
    assert (again.saved, again.found, again.unknown) == (1, 2, 0)
    mails = [email.message_from_bytes(each, policy=policy.default) for each in saved(service, drafts)]
    assert [each["Subject"] for each in mails] == ["Invoice 1", "Invoice 2", "Invoice 3"]
    assert mails[0]["Reply-To"] == "office@example.com"
    (attached,) = mails[0].iter_attachments()
    assert attached.get_content() == PDF
    blind = ["boss@example.com", "archive@example.com"]
    if api == "gmail":
        assert [each.addr_spec for each in mails[0]["Bcc"].addresses] == blind
    else:
        assert next(iter(drafts._drafts.values())).bcc == blind
    assert not service.inbox
    assert list(outbox(service)) == []
    assert outbox(service).save_drafts(message(1), settings=mine, again=True).saved == 1


@pytest.mark.parametrize("api", SERVICES)
def test_a_large_document_is_in_the_draft(api: str, service: Sandbox, drafts: Drafts) -> None:
    assert outbox(service).save_drafts(message(document=LARGE), settings=settings(service, api)).saved == 1
    if api == "gmail":
        (attached,) = service.mailbox["Drafts"][0].attachments
        assert attached.content == LARGE
    else:
        (kept,) = drafts._drafts.values()
        assert [content for _name, _type, content in kept.files] == [LARGE]


@pytest.mark.parametrize(
    ("api", "reply", "permission"),
    [
        ("graph", "403 ErrorAccessDenied: Access is denied. Check credentials and try again.", "Mail.ReadWrite"),
        ("gmail", "403 insufficientPermissions: Request had insufficient authentication scopes.", "gmail.compose"),
    ],
)
def test_a_token_that_may_only_send_names_the_permission_and_the_other_way(
    api: str, reply: str, permission: str, service: Sandbox, drafts: Drafts
) -> None:
    service.answer("draft", reply, times=1)
    with pytest.raises(AuthenticationError) as caught:
        outbox(service).save_drafts(message(), settings=settings(service, api))
    assert permission in caught.value.message
    assert "nothing was saved" in caught.value.message
    assert "After sending" in caught.value.hint
    assert caught.value.field == "password"
    assert saved(service, drafts) == []
    assert outbox(service).save_drafts(message(), settings=settings(service, api)).saved == 1  # nothing stays in doubt


def test_other_refusals_are_said_as_for_sending(service: Sandbox) -> None:
    service.answer(
        "draft", "403 accessNotConfigured: Gmail API has not been used in project 1 before or it is disabled."
    )
    with pytest.raises(docmail.errors.SendError, match="The Gmail API is switched off"):
        outbox(service).save_drafts(message(), settings=settings(service, "gmail"))


@pytest.mark.parametrize("keep", [True, False])
def test_a_request_that_is_not_confirmed_is_not_repeated_by_itself(
    service: Sandbox, drafts: Drafts, *, keep: bool
) -> None:
    mine = settings(service, "gmail")
    service.drop("draft", keep=keep, times=1)
    with pytest.raises(OutcomeUnknown, match="The draft may have been saved: Gmail did not confirm it") as caught:
        outbox(service).save_drafts([message(1), message(2)], settings=mine)
    assert "Look into the Drafts folder of" in caught.value.hint
    found = outbox(service).save_drafts([message(1), message(2)], settings=mine)
    assert (found.saved, found.found, found.unknown) == (1, 0, 1)
    assert "1 may be in Drafts since an earlier attempt" in str(found)
    assert len(saved(service, drafts)) == 1 + keep
    assert outbox(service).save_drafts(message(1), settings=mine, again=True).saved == 1
    assert outbox(service).save_drafts(message(1), settings=mine).found == 1


def test_drafts_a_lost_reply_and_a_gateway_are_doubts_as_well(service: Sandbox) -> None:
    mine = settings(service, "graph")
    service.drop("draft", times=1)
    with pytest.raises(OutcomeUnknown, match="may have been saved"):
        outbox(service).save_drafts(message(1), settings=mine)
    service.answer("draft", "504 UnknownError: ", times=1)
    with pytest.raises(OutcomeUnknown, match="may have been saved"):
        outbox(service).save_drafts(message(2), settings=mine)
    assert outbox(service).save_drafts([message(1), message(2)], settings=mine).unknown == 2


def test_a_draft_whose_files_do_not_arrive_is_taken_back(service: Sandbox, drafts: Drafts) -> None:
    mine = settings(service, "graph")
    service.answer("upload", "503 ServiceUnavailable: Try later.", times=1)
    with pytest.raises(docmail.errors.Deferred):
        outbox(service).save_drafts(message(document=LARGE), settings=mine)
    assert saved(service, drafts) == []
    assert outbox(service).save_drafts(message(document=LARGE), settings=mine).saved == 1


def test_a_server_that_is_not_there_leaves_no_doubt(service: Sandbox) -> None:
    mine = settings(service, "gmail")
    assert isinstance(mine.server, docmail.HttpServer)
    gone = replace(mine, server=replace(mine.server, url="http://127.0.0.1:9"))
    docmail.credentials.set(gone, SANDBOX_PASSWORD, remember=False)
    with pytest.raises(ConnectError):
        outbox(service).save_drafts(message(), settings=gone)
    with pytest.raises(ConnectError):  # it is tried again
        outbox(service).save_drafts(message(), settings=gone)


def test_which_settings_can_save_drafts() -> None:
    def of(**server: Any) -> Settings:
        return docmail.Settings("Ann <ann@example.com>", docmail.HttpServer("", username="ann@example.com", **server))

    assert can_save_drafts(of(api="graph"))
    assert can_save_drafts(of(api="graph", sign_in=SignIn.MICROSOFT, client_id="1"))
    assert can_save_drafts(of(api="gmail"))
    # What docmail asks Google for is sending, so no sign-in of its own lets drafts in.
    signed_in = of(api="gmail", sign_in=SignIn.GOOGLE, client_id="1")
    assert not can_save_drafts(signed_in)
    with pytest.raises(SettingsError, match=r"does not include drafts: that takes gmail\.compose"):
        Outbox().save_drafts(message(), settings=signed_in)
    assert not can_save_drafts(of(api="postmark"))
    assert not can_save_drafts(docmail.Settings("Ann", docmail.SmtpServer("smtp.example.com", username="a@b.example")))


def test_an_address_of_ones_own_that_names_no_mailbox_has_no_place_for_drafts(service: Sandbox) -> None:
    mine = settings(service, "graph")
    assert isinstance(mine.server, docmail.HttpServer)
    elsewhere = replace(mine, server=replace(mine.server, url=f"{mine.server.url}/somewhere"))
    docmail.credentials.set(elsewhere, SANDBOX_PASSWORD, remember=False)
    with pytest.raises(SettingsError, match="these settings have none"):
        outbox(service).save_drafts(message(), settings=elsewhere)


def test_the_mail_form_asks_to_look_before_it_saves_a_doubtful_draft_again(service: Sandbox) -> None:
    settings(service, "gmail").save()
    made = MailForm(
        [docmail.Document.of(PDF, name="Q3.pdf")], "cfo@example.com", "Q3", "Attached.", open_settings=lambda: None
    )
    made.show_sender()
    assert [label for _action, label in made.actions.actions] == ["Send", "Save as .eml", "Save to Drafts"]

    def press() -> str:
        made._work.run(lambda: made._save_to_drafts(made.actions.current()))
        return str(made.report.value)

    service.drop("draft", keep=True, times=1)
    assert "did not confirm it" in press()
    assert "press “Save to Drafts” once more" in made.report.value
    assert len(service.mailbox["Drafts"]) == 1
    assert "1 draft was saved" in press()
    assert len(service.mailbox["Drafts"]) == 2
    assert "is in the mailbox already" in press()
