"""A link that is painted leads to a web server; anything else that a server hands over is text."""

from __future__ import annotations

import pytest

from docmail.addresses import is_web_address
from docmail.message import markdown_to_html
from docmail.widgets.parts import markup

BAD = [
    "javascript:alert(1)",
    "JaVaScRiPt://example.com/%0aalert(1)",
    " java\tscript:alert(1)",
    "java&#115;cript:alert(1)",
    "\x01javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "file:///etc/passwd",
    "ftp://example.com/x",
    "ms-msdt:/id",
    "search-ms:query=x",
    "intent://x#Intent;end",
    "//example.com/x",
    "https:example.com",
    "",
]


@pytest.mark.parametrize("url", BAD)
def test_an_address_that_is_not_of_a_web_server_is_shown_and_not_linked(url: str) -> None:
    assert not is_web_address(url)
    for shown in (markup.anchor(url), markup.anchor(url, "Open the page")):
        assert "href" not in shown
        assert "<" not in shown
    assert "href" not in markup._from_markdown(f"[x](<{url}>)")


@pytest.mark.parametrize("url", ["https://microsoft.com/devicelogin", "HTTP://127.0.0.1:8080/x?a=b&c=d"])
def test_one_of_a_web_server_is_a_link_in_a_new_tab(url: str) -> None:
    assert is_web_address(url)
    for shown in (markup.anchor(url), markup._from_markdown(f"[x]({url})")):
        assert "<a " in shown
        assert "noopener" in shown


def test_a_mail_links_what_a_person_may_mean() -> None:
    for url in ("mailto:a@example.com", "https://example.com", "tel:+353", "#terms"):
        assert f'href="{url}"' in markdown_to_html(f"[x]({url})")
    for url in ("ftp://example.com", "ms-msdt:/id", "smb://example.com/x", "intent://x"):
        assert url not in markdown_to_html(f"[x]({url})")
