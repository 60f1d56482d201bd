from __future__ import annotations

from typing import Any

import pytest

from docmail.errors import Field
from docmail.settings import HttpServer, Security, Settings, SignIn, SmtpServer
from docmail.widgets.settings import fields
from docmail.widgets.settings.field_names import FormField
from docmail.widgets.settings.fields import filled, settings_of, values_of

EMPTY: dict[str, Any] = {  # in the order of the form
    "email_address": "",
    "provider": "",
    "protocol": "smtp",
    "api": "form",
    "region": "us",
    "domain": "",
    "url": "",
    "http_reply_to": "",
    "host": "",
    "port": "587",
    "port_number": "",
    "security": Security.STARTTLS,
    "username": "",
    "sign_in": SignIn.PASSWORD,
    "client_id": "",
    "tenant": "",
    "sender": "",
    "copies": False,
    "copy_to": "",
    "replies": False,
    "reply_to": "",
    "self_signed": False,
    "fingerprint": "",
    "after_sending": False,
    "mailbox": False,
    "mailbox_host": "",
    "mailbox_port": "993",
    "mailbox_security": Security.TLS,
    "mailbox_username": "",
    "mailbox_self_signed": False,
    "mailbox_fingerprint": "",
    "mailbox_ca_file": "",
    "look": False,
    "advanced": False,
    "api_url": "",
    "ca_file": "",
    "profile": "default",
}
SMTP = EMPTY | {"host": "smtp.example.com", "username": "accounts@example.com"}
FINGERPRINT = ":".join(["AB"] * 32)


def fields_with_problems(values: dict[str, Any]) -> list[str]:
    return [problem.field for problem in settings_of(values)[1]]


def settings(values: dict[str, Any]) -> Settings:
    found, problems = settings_of(values)
    assert problems == []
    return found


def test_the_form_has_every_field_of_the_settings_and_its_own() -> None:
    rows = fields.rows("default")
    assert set(rows) == {*Field, *FormField} - {Field.ORGANISATION}  # which is a file
    assert list(fields.widgets_of(rows)) == list(EMPTY)


def test_a_username_that_is_an_address_is_the_sender() -> None:
    assert settings(SMTP | {"sender": "Accounts"}) == Settings(
        "Accounts", SmtpServer("smtp.example.com", username="accounts@example.com")
    )


def test_the_email_address_is_the_sender_where_the_username_is_none() -> None:
    found = settings(SMTP | {"username": "u123", "email_address": "a@example.com", "sender": "Smith, J"})
    assert found.sender == '"Smith, J" <a@example.com>'
    assert found.address.addr_spec == "a@example.com"


def test_an_email_address_beside_a_username_that_is_another_is_the_sender() -> None:
    found = settings(SMTP | {"email_address": "other@example.com", "sender": "Accounts"})
    assert found.sender == "Accounts <other@example.com>"
    assert settings(SMTP | {"email_address": "Accounts@example.com", "sender": "A"}).sender == "A"


@pytest.mark.parametrize(
    ("port", "number", "security", "expected"),
    [
        ("587", "", Security.STARTTLS, SmtpServer("smtp.example.com", 587, None)),
        ("465", "", Security.TLS, SmtpServer("smtp.example.com", 465, None)),
        ("465", "", Security.STARTTLS, SmtpServer("smtp.example.com", 465, Security.STARTTLS)),
        ("other", " 2525 ", Security.STARTTLS, SmtpServer("smtp.example.com", 2525, None)),
        ("other", "2465", Security.TLS, SmtpServer("smtp.example.com", 2465, Security.TLS)),
        # A number left over from "other" does not count.
        ("587", "2525", Security.STARTTLS, SmtpServer("smtp.example.com", 587, None)),
    ],
)
def test_the_security_is_stored_only_where_it_differs_from_the_ports(
    port: str, number: str, security: Security, expected: SmtpServer
) -> None:
    values = SMTP | {"username": "", "port": port, "port_number": number, "security": security}
    assert settings_of(values)[0].server == expected


@pytest.mark.parametrize("number", ["", "smtp", "٤٦٥", "0", "70000", "-1", "5e2", "1" * 5000])
def test_a_port_that_is_no_number_is_a_problem_of_the_field_it_was_typed_into(number: str) -> None:
    assert fields_with_problems(SMTP | {"port": "other", "port_number": number}) == ["port_number"]


def test_boxes_that_are_not_ticked_hide_their_addresses_from_the_settings() -> None:
    found = settings(SMTP | {"copy_to": "x@example.com", "reply_to": "y@example.com", "fingerprint": FINGERPRINT})
    assert (found.copy_to, found.reply_to) == (None, ())
    assert isinstance(found.server, SmtpServer)
    assert found.server.fingerprint is None


def test_a_ticked_box_needs_its_address() -> None:
    assert fields_with_problems(SMTP | {"copies": True, "replies": True}) == ["copy_to", "reply_to"]


def test_several_addresses_may_receive_the_replies() -> None:
    found = settings(SMTP | {"replies": True, "reply_to": "a@example.com, B <b@example.com>"})
    assert found.reply_to == ("a@example.com", "B <b@example.com>")


def test_a_fingerprint_never_counts_for_an_established_provider() -> None:
    values = SMTP | {"self_signed": True, "fingerprint": FINGERPRINT}
    own = settings(values).server
    google = settings(values | {"host": "smtp.gmail.com"}).server
    assert isinstance(own, SmtpServer)
    assert isinstance(google, SmtpServer)
    assert (own.fingerprint, google.fingerprint) == (FINGERPRINT, None)


def test_http_needs_its_server_its_reply_address_and_a_name_and_looks_at_nothing_else() -> None:
    values = EMPTY | {"protocol": "http", "replies": True, "port": "other"}
    assert fields_with_problems(values) == ["url", "http_reply_to", "sender"]
    found = settings(values | {"url": "mail.example.com", "http_reply_to": "office@example.com", "sender": "Accounts"})
    assert found == Settings("Accounts", HttpServer("mail.example.com"), reply_to=("office@example.com",))


def test_all_problems_come_at_once_in_the_order_of_the_form() -> None:
    values = EMPTY | {"host": "smtp.example.com:25", "email_address": "nonsense", "sender": "a <b", "ca_file": ""}
    assert fields_with_problems(values) == ["email_address", "host", "sender"]


def test_each_field_shows_one_problem_the_most_telling() -> None:
    problems = settings_of(SMTP | {"username": "u123", "email_address": "nonsense"})[1]
    assert [problem.field for problem in problems] == ["email_address"]
    assert "nonsense" in problems[0].message


@pytest.mark.parametrize(
    "original",
    [
        Settings("Accounts", SmtpServer("smtp.example.com", 465, username="a@example.com")),
        Settings("", SmtpServer("smtp.example.com", 2525, Security.TLS, "a@example.com")),
        Settings("A <a@example.com>", SmtpServer("smtp.example.com", 25, Security.NONE)),
        Settings('"Smith, J" <a@example.com>', SmtpServer("smtp.example.com", username="u1")),
        Settings("Accounts <b@example.com>", SmtpServer("smtp.example.com", username="a@example.com")),
        Settings(
            "A <a@example.com>",
            SmtpServer("mail.example.org", fingerprint=FINGERPRINT, ca_file=__file__),
            copy_to="archive@example.com",
            reply_to=("a@example.com", '"B, C" <b@example.com>'),
        ),
        Settings("A", HttpServer("http://h.example.com/x"), "c@example.com", ("r@example.com", "s@example.com")),
    ],
)
def test_settings_come_back_from_the_form_as_they_went_in(original: Settings) -> None:
    assert settings(EMPTY | values_of(original)) == original


def test_the_states_of_the_form_follow_the_values() -> None:
    assert fields.states(EMPTY) == {"smtp", "form", "named", "own-address", "secret", "starttls"}
    assert fields.states(EMPTY | {"protocol": "http"}) == {"http", "form", "secret", "starttls"}
    service = fields.states(EMPTY | {"protocol": "http", "api": "postmark"})
    assert service == {"http", "service", "own-address", "secret", "starttls"}
    mailbox = fields.states(EMPTY | {"protocol": "http", "api": "graph"})
    assert mailbox == {"http", "service", "own-address", "named", "secret", "starttls"}
    values = SMTP | {"port": "other", "security": Security.NONE, "copies": True, "replies": True, "self_signed": True}
    always = {"smtp", "form", "named", "own-address", "secret"}
    assert fields.states(values) == always | {"other-port", "plain", "copies", "replies", "self-signed"}
    assert "http" in fields.states(EMPTY | {"protocol": "http"})
    assert "asks-address" in fields.states(EMPTY | {"username": "u123"})


def test_filling_in_a_port_sets_the_security_and_filling_in_an_address_ticks_its_box() -> None:
    assert filled({"port": 465}, EMPTY) == {"port": "465", "port_number": "", "security": Security.TLS}
    assert filled({"port": 2525, "security": "none"}, EMPTY)["security"] is Security.NONE
    assert filled({"copy_to": "a@example.com"}, EMPTY) == {"copy_to": "a@example.com", "copies": True}
    assert filled({"copy_to": None}, EMPTY) == {"copy_to": "", "copies": False}
    several = filled({"reply_to": ["a@example.com", "b@example.com"]}, EMPTY)
    assert several["http_reply_to"] == "a@example.com, b@example.com"


def test_none_fills_in_what_it_means_in_the_settings() -> None:
    tls = EMPTY | {"port": "465"}
    other = EMPTY | {"port": "other", "port_number": "465"}
    assert filled({"security": None}, EMPTY) == {"security": Security.STARTTLS}
    assert filled({"security": None}, tls) == filled({"security": None}, other) == {"security": Security.TLS}
    assert filled({"security": None, "port": 587}, tls)["security"] is Security.STARTTLS
    assert filled({"ca_file": None, "fingerprint": None}, EMPTY) == {
        "ca_file": "",
        "fingerprint": "",
        "self_signed": False,
    }


@pytest.mark.parametrize(
    ("name", "words"),
    [("password", "takes no password"), ("pasword", "not know pasword"), ("copies", "not know copies")],
)
def test_nothing_but_fields_can_be_filled_in_and_never_the_password(name: str, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        filled({name: "x"}, EMPTY)


def test_another_sign_in_server_stands_in_the_field_of_the_organisation_and_is_kept() -> None:
    url = "https://login.microsoftonline.us/example.com"
    account: dict[str, Any] = {
        "username": "a@example.com",
        "sign_in": SignIn.MICROSOFT,
        "client_id": "x",
        "authority": url,
    }
    before = Settings("A", SmtpServer("smtp.example.com", **account))
    assert values_of(before)["tenant"] == url
    assert settings(EMPTY | values_of(before)) == before
    assert settings(EMPTY | filled({"host": "smtp.example.com", "sender": "A"} | account, EMPTY)) == before
