"""The sandbox keeps drafts as strictly as Microsoft Graph: ranges in order, sizes, sessions that end, who may."""

from __future__ import annotations

import base64
import http.client
import json
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from docmail.sandbox import SANDBOX_PASSWORD

if TYPE_CHECKING:
    from docmail import Sandbox

MAIL = (
    b"From: a@example.com\r\nTo: b@example.com\r\nBcc: c@example.com\r\nMessage-ID: <1@x>\r\nSubject: S\r\n\r\nText\r\n"
)
SIZE = 3_500_000


def ask(box: Sandbox, method: str, url: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, Any]]:
    place = urlsplit(box.settings_for("graph").server.full_url).netloc  # type: ignore[union-attr]  # it is by HTTP
    path = url.partition(place)[2] or f"/v1.0/me/messages{url}"
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if method != "PUT":
        sent.setdefault("Authorization", f"Bearer {SANDBOX_PASSWORD}")
    with closing(http.client.HTTPConnection(place, timeout=10)) as connection:
        connection.request(method, path, body, sent)
        response = connection.getresponse()
        text = response.read()
        return response.status, json.loads(text) if text.startswith(b"{") else {}


def drafted(box: Sandbox) -> str:
    status, content = ask(box, "POST", "", base64.b64encode(MAIL), Content_Type="text/plain")
    assert status == 201
    assert content["bccRecipients"][0]["emailAddress"]["address"] == "c@example.com"
    return f"/{content['id']}"


def begun(box: Sandbox, draft: str, size: int = SIZE) -> tuple[int, dict[str, Any]]:
    item = {
        "AttachmentItem": {"attachmentType": "file", "name": "a.pdf", "contentType": "application/pdf", "size": size}
    }
    return ask(box, "POST", f"{draft}/attachments/createUploadSession", json.dumps(item).encode())


def put(box: Sandbox, url: str, start: int, size: int, **headers: str) -> int:
    span = f"bytes {start}-{start + size - 1}/{SIZE}"
    values = {"Content_Range": span, "Content_Type": "application/octet-stream", **headers}
    return ask(box, "PUT", url, bytes(size), **values)[0]


def test_a_file_arrives_in_pieces_and_the_mail_goes_out_once(box: Sandbox) -> None:
    draft = drafted(box)
    url = begun(box, draft)[1]["uploadUrl"]
    assert put(box, url, 0, 2_000_000) == 200
    assert put(box, url, 2_000_000, 1_500_000) == 201
    assert put(box, url, 0, 2_000_000) == 401  # the session is over
    assert ask(box, "POST", f"{draft}/send")[0] == 202
    assert ask(box, "POST", f"{draft}/send")[0] == 404
    [mail] = box.inbox
    assert mail.recipients == ("b@example.com", "c@example.com")
    assert [(each.name, each.size) for each in mail.attachments] == [("a.pdf", SIZE)]


def test_pieces_out_of_order_too_large_or_with_a_sign_in_are_refused(box: Sandbox) -> None:
    url = begun(box, drafted(box))[1]["uploadUrl"]
    assert put(box, url, 1_000_000, 2_000_000) == 416
    assert put(box, url, 0, 1_000_000, Content_Range="bytes 0-5/6") == 416
    assert put(box, url, 0, 1_000_000, Authorization=f"Bearer {SANDBOX_PASSWORD}") == 401
    assert put(box, url.replace("authtoken=", "authtoken=x"), 0, 1_000_000) == 401
    assert put(box, url, 0, 1_000_000) == 200
    assert put(box, url, 0, 1_000_000) == 416


@pytest.mark.parametrize(
    ("size", "status"), [(2_000_000, 400), (2_097_152, 201), (157_286_400, 201), (157_286_401, 413)]
)
def test_a_session_takes_files_from_2_to_150_mb(box: Sandbox, size: int, status: int) -> None:
    assert begun(box, drafted(box), size)[0] == status


def test_one_request_attaches_files_under_3_mb_only(box: Sandbox) -> None:
    draft = drafted(box)

    def attach(size: int) -> int:
        content = base64.b64encode(bytes(size)).decode()
        item = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "a", "contentType": "application/pdf"}
        return ask(box, "POST", f"{draft}/attachments", json.dumps({**item, "contentBytes": content}).encode())[0]

    assert attach(3_000_000) == 201
    assert attach(3_200_000) == 413


def test_a_draft_takes_no_more_than_one_request_holds_and_no_key_but_the_right_one(box: Sandbox) -> None:
    assert ask(box, "POST", "", bytes(4_200_000), Content_Type="text/plain")[0] == 413
    assert ask(box, "POST", "", b"%%%", Content_Type="text/plain")[0] == 400
    assert ask(box, "POST", "", b"{}", Content_Type="application/json")[0] == 400
    body = base64.b64encode(MAIL)
    assert ask(box, "POST", "", body, Content_Type="text/plain", Authorization="Bearer wrong")[0] == 401
    assert ask(box, "POST", "", body, Content_Type="text/plain", Origin="https://evil.example")[0] == 403


def test_a_deleted_draft_is_gone_with_its_uploads(box: Sandbox) -> None:
    draft = drafted(box)
    url = begun(box, draft)[1]["uploadUrl"]
    assert ask(box, "DELETE", draft)[0] == 204
    assert ask(box, "DELETE", draft)[0] == 404
    assert put(box, url, 0, 1_000_000) == 401
