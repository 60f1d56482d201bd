"""The pages of a sign-in say what happened and what to do next, and repeat nothing of what a request brought."""

from __future__ import annotations

import http.client
import re
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from docmail.language import language
from docmail.oauth import DeviceSignIn, google
from docmail.oauth.browser_page import HEADERS, page
from tests.oauth.sign_ins import decided, fetched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docmail.sandbox import Sandbox

CLOSE, BACK = "You can close this tab and go back to JupyterLab.", "Close this tab, go back to JupyterLab"
ATTACK = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E"


@pytest.fixture
def sign_in(box: Sandbox) -> Iterator[google.BrowserSignIn]:
    with closing(google.BrowserSignIn(box.google_settings)) as opened:
        yield opened
    opened._loopback.close()


def title_of(html: str) -> str:
    found = re.search("<h1>(.*?)</h1>", html)
    assert found
    return found[1]


@pytest.mark.parametrize(
    ("change", "status", "title", "next_step"),
    [
        (lambda place: place, 200, "✓ You have signed in at Google", CLOSE),
        (lambda place: place.partition("?")[0], 400, "This is the last page of a sign-in", BACK),
        (lambda place: place.replace("state=", "state=x"), 400, "This page belongs to another sign-in", BACK),
        (lambda place: f"{place}&state=other", 400, "This page belongs to another sign-in", BACK),
        (lambda place: re.sub("code=[^&]+", f"note={ATTACK}", place), 400, "Google&#39;s reply is not complete", BACK),
        (lambda place: place.replace("/?", f"/{ATTACK}?"), 404, "There is nothing at this address", BACK),
        (
            lambda place: re.sub("code=[^&]+", f"error={ATTACK}", place),
            200,
            "Google has not signed you in",
            CLOSE,
        ),
        (
            lambda place: re.sub("code=[^&]+", "error=access_denied", place),
            200,
            "You have not allowed docmail to send mail",
            CLOSE,
        ),
    ],
)
def test_where_the_browser_ends_says_what_happened_and_what_to_do(
    sign_in: google.BrowserSignIn, change: Callable[[str], str], status: int, title: str, next_step: str
) -> None:
    place = decided(sign_in.begin())
    found, _elsewhere, html = fetched(change(place))
    assert (found, title_of(html)) == (status, title)
    assert next_step in html
    query = parse_qs(urlsplit(place).query)
    assert not [value for value in (query["code"][0], query["state"][0], "alert(1)") if value in html]


def test_a_page_that_is_opened_twice_says_that_nothing_changes(sign_in: google.BrowserSignIn) -> None:
    place = decided(sign_in.begin())
    fetched(place)
    html = fetched(place)[2]
    assert title_of(html) == "docmail already has Google&#39;s reply"
    assert CLOSE in html


def test_a_person_who_agrees_too_late_is_told_so(sign_in: google.BrowserSignIn) -> None:
    place = decided(sign_in.begin())
    sign_in.close()
    status, _elsewhere, html = fetched(place)
    assert (status, title_of(html)) == (410, "This sign-in is over")
    assert "press “Sign in with Google” again" in html


def test_a_page_under_another_name_gets_nothing(sign_in: google.BrowserSignIn) -> None:
    place = decided(sign_in.begin())
    status, _elsewhere, html = fetched(place, host="attacker.example")
    assert (status, title_of(html)) == (400, "This page opens on your own computer only")
    assert "attacker.example" not in html
    assert fetched(place)[0] == 200, "and the right one is still taken"


@pytest.mark.parametrize("method", ["POST", "HEAD", "<script>"])
def test_another_method_takes_nothing(sign_in: google.BrowserSignIn, method: str) -> None:
    place = decided(sign_in.begin())
    status, _elsewhere, html = fetched(place, method)
    assert status == 501
    assert "script" not in html
    assert fetched(place)[0] == 200


def test_the_device_page_says_at_each_step_what_happened(box: Sandbox) -> None:
    sign_in = DeviceSignIn(box.microsoft_settings)
    code = sign_in.begin()
    link = code.url
    asked = fetched(link)[2]
    assert title_of(asked) == "Sign in as accounts@example.com?"
    assert f"the same code: <b>{code.code}</b>" in asked
    assert title_of(fetched(link, "POST", "other=1")[2]) == title_of(asked), "no answer is no answer"
    agreed = fetched(link, "POST", "agree=1")[2]
    assert (title_of(agreed), CLOSE in agreed) == ("✓ You have agreed", True)
    assert title_of(fetched(link, "POST", "decline=1")[2]) == "This sign-in is answered already"
    assert sign_in.wait(code, lambda: False).username == "accounts@example.com"
    assert title_of(fetched(link)[2]) == "This sign-in is answered already"


def test_the_device_page_says_that_a_sign_in_was_declined(box: Sandbox) -> None:
    link = DeviceSignIn(box.microsoft_settings).begin().url
    html = fetched(link, "POST", "decline=1")[2]
    assert (title_of(html), CLOSE in html) == ("You have not allowed docmail to send mail", True)


def test_the_device_page_says_that_a_code_has_expired(box: Sandbox) -> None:
    link = DeviceSignIn(box.microsoft_settings).begin().url
    for code in box.identity._codes.values():
        code.ends = 0.0
    html = fetched(link, "POST", "agree=1")[2]
    assert (title_of(html), "press “Sign in with Microsoft”" in html) == ("The code has expired", True)


def test_the_device_page_says_that_no_sign_in_is_waiting(box: Sandbox) -> None:
    authority = box.microsoft_settings.server.authority
    html = fetched(f"{authority.partition('/identity')[0]}/identity/device".replace("https:", "http:"))[2]
    assert (title_of(html), BACK in html) == ("No sign-in is waiting here", True)


def test_a_consent_page_with_a_strange_place_to_return_to_is_not_shown(
    box: Sandbox, sign_in: google.BrowserSignIn
) -> None:
    link = sign_in.begin().replace(
        "redirect_uri=http%3A%2F%2F127.0.0.1", f"redirect_uri=http://attacker.example{ATTACK}"
    )
    status, _elsewhere, html = fetched(link)
    assert (status, title_of(html)) == (400, "This link is not complete")
    assert "attacker" not in html
    assert box.identity.username not in html


def test_what_is_no_markup_is_text() -> None:
    assert "<p>&lt;b&gt;</p>" in page("title", "<b>")
    assert "<h1>&lt;script&gt;</h1>" in page("<script>")


def test_a_page_speaks_the_language_of_the_form(box: Sandbox) -> None:
    with language("af"), closing(google.BrowserSignIn(box.google_settings)) as sign_in:
        place = sign_in._loopback.url
    html = fetched(place)[2]
    sign_in._loopback.close()
    assert '<html lang="af">' in html
    assert "JupyterLab" in html
    assert "Close this tab" not in html


def test_pages_load_nothing_and_are_kept_nowhere(sign_in: google.BrowserSignIn) -> None:
    """Both servers send the same headers; the style that they allow is the one on the page."""
    for url in (sign_in._loopback.url, sign_in.begin()):
        split = urlsplit(url)
        with closing(http.client.HTTPConnection(split.netloc, timeout=10)) as connection:
            connection.request("GET", f"{split.path}?{split.query}", headers={"Host": split.netloc})
            reply = connection.getresponse()
            html = reply.read().decode()
        assert {name: reply.getheader(name) for name in HEADERS} == HEADERS
        assert html.count("<style>") == 1
        assert not re.search(r"<script|style=|onload|https?://(?!127\.0\.0\.1)", html)
