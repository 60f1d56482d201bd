"""Bounces name the mail and its recipients as docmail does, where the server offers it (RFC 3461); nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docmail.errors import Refused
from tests.support.scripted import EXTENSIONS, USER, ScriptedServer, mail_to, transport_to

if TYPE_CHECKING:
    from docmail.message import Mail
    from docmail.transport import SendResult

OFFERED = (*EXTENSIONS, "DSN")


def send_through(server: ScriptedServer, mail: Mail | None = None) -> SendResult:
    with transport_to(server) as transport:
        return transport.send(mail or mail_to("cfo@example.com"))


def commands(server: ScriptedServer, word: str) -> list[str]:
    return [each for each in server.commands if each.startswith(word)]


def test_a_mail_and_its_recipients_are_named() -> None:
    mail = mail_to("cfo+q3=x@example.com")
    with ScriptedServer(extensions=OFFERED) as server:
        send_through(server, mail)
    envelope = mail.message_id.strip("<>")
    (line,) = commands(server, "MAIL")
    assert line == f"MAIL FROM:<{USER}> SIZE={mail.size} RET=HDRS ENVID={envelope}"
    assert commands(server, "RCPT") == ["RCPT TO:<cfo+q3=x@example.com> ORCPT=rfc822;cfo+2Bq3+3Dx@example.com"]


def test_an_address_beyond_ascii_is_not_named_again() -> None:
    with ScriptedServer(extensions=OFFERED) as server:
        send_through(server, mail_to("müller@example.com"))
    assert "ORCPT" not in commands(server, "RCPT")[0]


def test_a_server_that_does_not_offer_it_is_asked_for_nothing() -> None:
    with ScriptedServer() as server:
        send_through(server)
    assert not any(word in each for each in server.commands for word in ("ENVID", "ORCPT", "RET="))


@pytest.mark.parametrize("reply", ["555 5.5.4 Unsupported option", "501 5.5.4 Syntax error in parameters"])
@pytest.mark.parametrize("step", ["MAIL", "RCPT"])
def test_a_server_that_does_not_do_what_it_offers_gets_the_mail_without(reply: str, step: str) -> None:
    script = {step: [reply, "250 2.1.0 ok"]}
    with ScriptedServer(script, extensions=OFFERED) as server, transport_to(server) as transport:
        assert transport.send(mail_to("cfo@example.com")).accepted == ("cfo@example.com",)
        transport.send(mail_to("cfo@example.com"))
    with_names = [each for each in commands(server, "MAIL") if "ENVID" in each]
    assert len(with_names) == 1
    assert len(server.mails) >= 2


def test_a_refusal_for_another_reason_is_one() -> None:
    with ScriptedServer({"MAIL": "501 5.1.7 Bad sender"}, extensions=OFFERED) as server, pytest.raises(Refused):
        send_through(server)
    assert len(commands(server, "MAIL")) == 2


def test_a_refused_recipient_is_not_asked_again() -> None:
    with ScriptedServer({"RCPT": "550 5.1.1 unknown"}, extensions=OFFERED) as server, pytest.raises(Refused):
        send_through(server)
    assert len(commands(server, "RCPT")) == 1
