"""A mail as it arrives, in a real JupyterLab: in the inbox of the sandbox, before a batch and in the record."""

from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.test_documents_screen import check_axe, check_widths, kept, opened
from tests.leaks.stories import SAVE_STATE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import FrameLocator, Locator

    from tests.browser.conftest import Pictures
    from tests.support.lab import LabPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

BEGIN = """\
import docmail
from email.message import EmailMessage
from fpdf import FPDF

box = docmail.Sandbox().start()
box.settings.save()


def pdf(name):
    made = FPDF()
    made.set_title(name)
    made.add_page()
    return made


def arrive(subject, html, text="plain text", pictures=(), to="cfo@example.com"):
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "stranger@example.org", to, subject
    mail.set_content(text)
    mail.add_alternative(html, subtype="html")
    for number, content in enumerate(pictures):
        mail.get_payload()[1].add_related(content, "image", "png", cid=f"<picture{number}@example.org>")
    box.inbox.deliver("stranger@example.org", [to], bytes(mail))

"""

FAR = "http://far.example"

# Each ends with a sentence that is seen when all before it has been read.
ATTACKS = {
    "script": f"<script>top.ran = 1; fetch('{FAR}/script')</script><script src='{FAR}/script.js'></script>",
    "handlers": f"<img src=x onerror=\"top.ran=1;this.src='{FAR}/onerror'\"><body onload='top.ran=1'><div "
    "onmouseover='top.ran=1' style='position:absolute;top:0;left:0;width:100%;height:100%'></div>"
    "<details open ontoggle='top.ran=1'>x</details><input autofocus onfocus='top.ran=1'>"
    "<marquee onstart='top.ran=1'>y</marquee><style onload='top.ran=1'></style>",
    "refresh": f"<meta http-equiv=refresh content='0;url={FAR}/refresh'>",
    "refresh to a script": "<meta http-equiv=refresh content='0;url=javascript:top.ran=1'>",
    "base": f"<base href='{FAR}/'><img src='relative.png'><link rel=stylesheet href='style.css'>",
    "pictures": f"<img src='{FAR}/pixel.png'><img srcset='{FAR}/set.png 1x'><picture><source srcset='{FAR}/source.png'>"
    f"<img src=x></picture><input type=image src='{FAR}/input.png'><table background='{FAR}/table.png'><tr><td "
    f"background='{FAR}/cell.png'>cell</table><video poster='{FAR}/poster.png' src='{FAR}/film.mp4' autoplay></video>"
    f"<audio src='{FAR}/sound.mp3' autoplay></audio><img src='//far.example/scheme.png'>"
    f"<img src='/api/kernels'><img src='\\\\far.example\\unc.png'>",
    "styles": f"<style>@import '{FAR}/import.css'; @font-face {{ font-family: far; src: url({FAR}/font.woff2) }} body "
    f"{{ background: url({FAR}/background.png); font-family: far; list-style-image: url('{FAR}/list.png'); cursor: "
    f"url({FAR}/cursor.cur), auto }} p::before {{ content: url({FAR}/content.png) }} a:visited {{ color: red }}</style>"
    f"<p style=\"background-image: image-set(url({FAR}/set.png) 1x)\">x</p><link rel=stylesheet href='{FAR}/l.css'>"
    f"<link rel=preload as=image href='{FAR}/preload.png'><link rel=prefetch href='{FAR}/prefetch'>"
    f"<link rel=preconnect href='{FAR}'><link rel=dns-prefetch href='{FAR}'><link rel=icon href='{FAR}/icon.png'>",
    "svg": f"<svg xmlns='http://www.w3.org/2000/svg' onload='top.ran=1'><script>top.ran=1</script><image href='{FAR}/"
    f"svg.png'/><use href='{FAR}/use.svg#a'/><a href='javascript:top.ran=1'><text y=20 id=go>svg</text></a>"
    f"<animate attributeName=href values='javascript:top.ran=1'/><foreignObject><iframe src='{FAR}/in-svg'></iframe>"
    f"</foreignObject></svg><img src=\"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' "
    f"onload='top.ran=1'><image href='{FAR}/in-data.png'/></svg>\">",
    "frames": f"<iframe src='{FAR}/frame'></iframe><object data='{FAR}/object'></object><embed src='{FAR}/embed'>"
    f"<iframe srcdoc=\"<script>top.ran=1</script><img src='{FAR}/nested.png'>\"></iframe>"
    "<iframe src='javascript:top.ran=1'></iframe><object data='data:text/html,<script>top.ran=1</script>'></object>"
    f"<frameset><frame src='{FAR}/frameset'></frameset><portal src='{FAR}/portal'></portal>"
    f"<iframe src='/lab'></iframe><applet code='{FAR}/a.class'></applet>",
    "form": f"<form action='{FAR}/form' method=post><input name=a value=b><button id=go>Send</button></form>"
    f"<form id=f action='{FAR}/other'></form><button form=f formaction='{FAR}/formaction'>Other</button>",
    "a link": f"<a id=go href='{FAR}/link'>a link</a>",
    "a link to itself": f"<a id=go target=_self href='{FAR}/self'>a link</a>",
    "a link to the top": f"<a id=go target=_top href='{FAR}/top'>a link</a>",
    "a link to the parent": f"<a id=go target=_parent href='{FAR}/parent' ping='{FAR}/ping'>a link</a>",
    "a link with a name": f"<iframe name=there></iframe><a id=go target=there href='{FAR}/there'>a link</a>",
    "a link that runs": "<a id=go href='javascript:top.ran=1;window.open()'>a link</a>",
    "a link that runs itself": "<a id=go target=_self href=' jAvascript&#10;:top.ran=1'>a link</a>",
    "a link with data": "<a id=go target=_self href='data:text/html,<script>top.ran=1</script>'>a link</a>",
    "a link to the notebook server": "<a id=go target=_self href='/api/kernels'>a link</a>",
    "a download": f"<a id=go download href='{FAR}/download'>a link</a>",
    "a map": f"<img id=go usemap='#m' width=60 height=30 src='data:image/gif;base64,R0lGODlhAQABAAAAACw='><map name=m>"
    f"<area shape=default href='{FAR}/area'></map>",
    "quotes": f"\"'></iframe></div></pre><script>top.ran=1</script><img src='{FAR}/out.png' onerror='top.ran=1'>",
    "escaped quotes": "&quot;&gt;&lt;/iframe&gt;&lt;script&gt;top.ran=1&lt;/script&gt;<p title='&quot;><script>'>x</p>",
    "comments": f"<!--><script>top.ran=1</script>--><![CDATA[</iframe><img src='{FAR}/cdata.png'>]]><xmp></iframe>"
    "<script>top.ran=1</script></xmp><noscript><p title='</noscript><img src=x onerror=top.ran=1>'></p></noscript>",
    "a policy of its own": f"<meta http-equiv=Content-Security-Policy content=\"default-src * 'unsafe-inline'\">"
    f"<script>top.ran=1</script><img src='{FAR}/policy.png'>",
    "before the head": f"<img src='{FAR}/early.png'><!DOCTYPE html><html onload='top.ran=1' manifest='{FAR}/m'><head>"
    f"<script>top.ran=1</script></head><body background='{FAR}/body.png'>",
    "clobbered": f"<img name=querySelector><img name=documentElement><form name=body><input name=closest></form>"
    f"<img name=getAttribute><form id=addEventListener></form><a id=go target=_self href='{FAR}/clobbered'>a link</a>",
    "templates": "<template shadowrootmode=open><script>top.ran=1</script></template><div><template "
    f"shadowrootmode=open><img src='{FAR}/shadow.png' onerror='top.ran=1'></template></div>",
}


def extent(place: Locator) -> tuple[float, float]:
    """Return width and height."""
    found = place.bounding_box()
    assert found is not None
    return found["width"], found["height"]


def received(mails: dict[str, str]) -> str:
    """Return a cell in which these arrive, the last one as the newest, and the inbox is shown."""
    calls = (f"arrive({name!r}, {html!r} + '<p>Read to its end.</p>')" for name, html in mails.items())
    return BEGIN + "\n".join(calls) + "\nbox.inbox"


def mail_in(place: Locator) -> FrameLocator:
    """Return the page of the mail that is shown in a view."""
    return place.frame_locator(".dm-mail-paper iframe").frame_locator("iframe")


@pytest.fixture
def stranger() -> Iterator[tuple[str, list[str]]]:
    """Return the address of a web server, and what it is asked for: what a browser refuses to ask is no request."""
    asked: list[str] = []

    class Listening(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        do_POST = do_GET  # noqa: N815 - the library's name

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Listening) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}", asked
        server.shutdown()


def test_nothing_in_a_mail_runs_and_nothing_leaves(lab: LabPage, stranger: tuple[str, list[str]]) -> None:
    far, asked = stranger
    attacks = {name: html.replace("far.example", far) for name, html in ATTACKS.items()}
    left, opened_windows = [], []
    lab.page.on("requestfinished", lambda request: left.append(request.url))
    lab.page.context.on("page", lambda page: opened_windows.append(page.url))
    lab.page.on("dialog", lambda dialog: left.append(dialog.message))
    view = opened(lab, "attacks.ipynb", received(attacks))
    paper, mail = view.locator(".dm-mail-paper"), mail_in(view)
    links = 0
    view.get_by_role("button", name="Newer mails").wait_for()
    for name in reversed(ATTACKS):
        line = view.get_by_role("button", name=re.compile(f"^{re.escape(name)} cfo"))
        if not line.count():
            view.get_by_role("button", name="Older mails").click()
        line.click()
        expect(line).to_have_attribute("aria-current", "true")
        expect(view.locator(".dm-letter-subject")).to_have_text(name)
        end = mail.get_by_text("Read to its end.").last
        try:
            expect(end).to_be_attached()
        except AssertionError as exc:
            raise AssertionError(name) from exc
        paper.hover()
        if "id=go" in ATTACKS[name]:
            go = mail.locator("#go")
            go.click(force=True)
            go.click(modifiers=["Control"], force=True)
            go.click(modifiers=["Shift"], force=True)
            go.click(button="middle", force=True)
            go.focus()
            lab.page.keyboard.press("Enter")
            links += 1
            expect(end).to_be_attached()
    lab.page.evaluate("far => fetch(`http://${far}/after`, { mode: 'no-cors' })", far)
    assert asked == ["/after"], "this one alone, which shows that others would have been seen"
    with lab.page.expect_event("requestfinished", lambda request: request.url.endswith("/api/status?after")):
        lab.page.evaluate("() => fetch('/api/status?after')")  # what was asked before has been told of by then
    assert [url for url in left if re.search("kernels$|/lab$", url)] == []  # JupyterLab's own end in ?1796086317740
    assert opened_windows == []
    assert lab.page.evaluate("() => [top.ran, window.ran]") == [None, None]
    assert links > 10
    assert lab.page.url.startswith(lab.server.url)


INBOX = f"""\
{BEGIN}
box.inbox"""

ARRIVALS = """\
docmail.send(pdf("Invoice 2026-118"), to="cfo@example.com", bcc="archive@example.com", subject="Invoice 2026-118",
             body="Dear Chris,\\n\\nthe **invoice** is attached. [Pay here](https://pay.example.com/118)\\n\\n"
                  "| item | amount |\\n|---|---:|\\n| Beans | 12.50 |\\n| Coffee | 18.90 |")"""

MORE = """\
arrive("wide", "<style>@media (max-width: 400px) { #w { color: rgb(1, 2, 3) } }</style><p id=w>narrow?</p>")
arrive("tall", "<style>html, body { height: 100% } div { height: 110vh }</style><div>high</div><p>end</p>")
arrive("lines", "<p>html</p>", text="\\n".join(f"line {number}" for number in range(2000)))
arrive("עברית " * 60, "<html dir=rtl><body><p id=rtl>שלום עולם</p></body></html>", text="שלום\\nEnglish")
arrive("picture", "<img src='cid:picture0@example.org' id=p onload='top.ran=1'>", pictures=[PNG])
len(box.inbox)"""

PNG = """\
import struct, zlib
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
noise = b"".join(b"\\0" + os.urandom(3 * 1300) for _row in range(1300))
PNG = (b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1300, 1300, 8, 2, 0, 0, 0))
       + chunk(b"IDAT", zlib.compress(noise, 0)) + chunk(b"IEND", b""))
"""


@pytest.fixture
def saving(lab: LabPage) -> Iterator[None]:
    """Save the widgets' state with each notebook."""
    lab.server.configure(SAVE_STATE, {"saveState": True})
    yield
    lab.server.configure(SAVE_STATE, {})  # other tests use this server, too


def test_the_inbox_shows_what_arrives_while_it_is_open(lab: LabPage, pictures: Pictures, saving: None) -> None:
    assert saving is None
    path = lab.server.root / "inbox.ipynb"
    view = opened(lab, "inbox.ipynb", INBOX, ARRIVALS, f"import os\n{PNG}{MORE}", "box.inbox[0]", "box.inbox[-1]")
    expect(view.get_by_text("No mail has arrived yet.")).to_be_visible()
    pictures.take("inbox-empty", 0)
    lab.run(1)
    view = lab.cell(0).locator(".jp-OutputArea-child").last
    mail = mail_in(view)
    expect(mail.locator("strong")).to_have_text("invoice")
    expect(view.locator(".dm-heading")).to_contain_text("1 mail")
    expect(view.locator(".dm-letter-headers")).to_contain_text("archive@example.com")
    frame = view.locator(".dm-mail-paper iframe")
    assert 120 < extent(frame)[1] < 320, "as high as the mail"
    check_axe(lab, view)
    check_widths(lab, view)
    pictures.take("inbox", 0)
    follow_a_link(view)
    look_at(lab, view)
    open_the_attachment(lab, view)

    lab.run(2)
    view = lab.cell(0).locator(".jp-OutputArea-child").last
    expect(view.locator(".dm-heading")).to_contain_text("6 mails")
    expect(view.locator(".dm-line[aria-current]")).to_contain_text("Invoice 2026-118")  # it has been chosen
    read_more(lab, view, pictures)

    lab.run(3).run(4)
    one = lab.cell(3).locator(".jp-OutputArea-child").last
    expect(mail_in(one).locator("strong")).to_have_text("invoice")
    pictures.take("one-mail", 3)
    large = lab.cell(4).locator(".jp-OutputArea-child").last
    expect(mail_in(large).locator("#p")).to_be_visible()

    stored = kept(lab, path)
    assert "archive@example.com" not in stored.replace("to cfo@example.com, archive@example.com", ""), "a blind copy"
    assert len(stored) < 2_000_000, "the picture of 5.1 MB is not kept; scripts and styles take half a megabyte"
    assert "Pictures in the mail are left out here (5.1 MB)" in stored
    inbox = json.loads(path.read_text("utf-8"))["cells"][0]
    assert "@example" not in json.dumps(inbox["outputs"])


def follow_a_link(view: Locator) -> None:
    """Click a link: it says where it leads, and nothing else happens."""
    mail_in(view).get_by_role("link", name="Pay here").click()
    said = view.get_by_text("This link leads to")
    expect(said.get_by_role("link")).to_have_attribute("href", "https://pay.example.com/118")
    expect(said.get_by_role("link")).to_have_attribute("rel", "noopener noreferrer")
    expect(mail_in(view).locator("strong")).to_have_text("invoice")


def look_at(lab: LabPage, view: Locator) -> None:
    """Look at it on a phone, which is 360 pixels wide for the mail as well, and at the plain text."""
    frame = view.locator(".dm-mail-paper iframe")
    view.get_by_role("button", name="Phone").press("Enter")
    expect(view.get_by_role("button", name="Phone")).to_have_attribute("aria-pressed", "true")
    assert extent(frame)[0] == 360
    view.get_by_role("button", name="Text").press("Enter")
    expect(frame).to_be_hidden()
    expect(view.get_by_role("group", name="Plain text of the mail")).to_contain_text("Pay here")
    view.get_by_role("button", name="Desktop").press("Enter")
    expect(frame).to_be_visible()
    assert extent(frame)[0] > 500
    expect(view.get_by_role("button", name="Desktop")).to_be_focused()
    for _button in ("Phone", "Dark", "Text", "the mail"):
        lab.page.keyboard.press("Tab")
    expect(view.get_by_role("group", name="The mail as it arrives")).to_be_focused()


def open_the_attachment(lab: LabPage, view: Locator) -> None:
    """Save an attachment, and open it below the mail."""
    with lab.page.expect_download() as download:
        view.get_by_role("button", name="Download Invoice 2026-118.pdf").click()
    assert download.value.path().read_bytes().startswith(b"%PDF")
    view.get_by_role("button", name="Show Invoice 2026-118.pdf").click()
    expect(view.get_by_role("img", name="First page of Invoice 2026-118.pdf")).to_be_visible()
    view.locator(".dm-line").first.click()
    expect(view.get_by_role("img", name="First page of Invoice 2026-118.pdf")).to_have_count(0)


def read_more(lab: LabPage, view: Locator, pictures: Pictures) -> None:
    """Go through mails of every kind with the keyboard, the looks staying as they were chosen."""
    mail, frame = mail_in(view), view.locator(".dm-mail-paper iframe")
    view.get_by_role("button", name="Phone").click()
    current = view.locator(".dm-line[aria-current]")
    current.focus()
    lab.page.keyboard.press("ArrowUp")
    expect(current).to_contain_text("wide")
    expect(current).to_be_focused()
    expect(mail.locator("#w")).to_have_css("color", "rgb(1, 2, 3)")
    lab.page.keyboard.press("ArrowUp")
    expect(mail.get_by_text("end")).to_be_visible()
    assert extent(frame)[1] < 300, "it does not grow with itself"
    lab.page.keyboard.press("ArrowUp")
    view.get_by_role("button", name="Text").click()
    text = view.get_by_role("group", name="Plain text of the mail")
    expect(text).to_contain_text("line 1999")
    text.focus()
    lab.page.keyboard.press("End")
    lab.page.wait_for_function("place => place.scrollTop > 10000", arg=text.element_handle())
    assert extent(text)[1] < 600
    view.get_by_role("button", name="Desktop").click()
    current.focus()
    lab.page.keyboard.press("ArrowUp")
    expect(mail.locator("#rtl")).to_have_css("direction", "rtl")
    expect(view.locator(".dm-letter-subject")).to_have_css("direction", "rtl")
    check_axe(lab, view)
    check_widths(lab, view)
    pictures.take("inbox-rtl", 0)
    current.focus()
    lab.page.keyboard.press("ArrowUp")
    expect(mail.locator("#p")).to_be_visible()
    assert mail.locator("#p").evaluate("picture => picture.naturalWidth") == 1300
    pictures.take("inbox-picture", 0)


BATCH = f"""\
{BEGIN}
outbox = docmail.Outbox()
rows = [{{"n": number, "email": f"reader{{number}}@example.com"}} for number in range(30)]
outbox.add_all(docmail.merge(rows, key="n", to="{{{{ email }}}}", subject="Statement {{{{ n }}}}",
    body="Dear **reader {{{{ n }}}}**,", documents=lambda row: pdf(f"Statement {{row['n']}}")), batch="b")
outbox.preview(25)"""

RECORD = """\
docmail.send(pdf("Q3"), to="cfo@example.com", subject="Q3", body="**Attached**.\\n\\n" + "Much text. " * 200)
docmail.send((), to="cfo@example.com", subject="Q4", body="*Nothing* yet.")
docmail.Outbox()"""


def test_the_mails_of_a_batch_are_seen_before_they_leave_and_later_in_the_record(
    lab: LabPage, pictures: Pictures
) -> None:
    view = opened(lab, "seen.ipynb", BATCH, RECORD)
    expect(view.locator(".dm-heading")).to_contain_text("25 of 30 mails that wait")
    expect(mail_in(view).locator("strong")).to_have_text("reader 0")
    view.get_by_role("button", name=re.compile("^Statement 3 ")).click()
    expect(mail_in(view).locator("strong")).to_have_text("reader 3")
    expect(view.get_by_text("Statement 3.pdf")).to_be_visible()
    check_axe(lab, view)
    check_widths(lab, view)
    pictures.take("preview", 0)
    lab.run(1)
    record = lab.cell(1).locator(".jp-OutputArea-child").last
    record.get_by_role("button", name="Q3").click()
    expect(mail_in(record).locator("strong")).to_have_text("Attached")
    frame = record.locator(".dm-mail-paper iframe")
    frame.evaluate("frame => { frame.contentWindow.same = true }")
    record.get_by_role("button", name="Send again…").click()
    expect(record.get_by_text("Send it again now")).to_be_visible()
    assert frame.evaluate("frame => frame.contentWindow.same"), "a question beside it draws no mail anew"
    record.get_by_role("button", name="Cancel").click()
    check_axe(lab, record)
    check_widths(lab, record)
    pictures.take("record", 1)
    record.get_by_role("button", name="Q4").click()
    expect(mail_in(record).locator("em")).to_have_text("Nothing")
    record.get_by_role("button", name="Q4").click()
    expect(record.locator(".dm-mail")).to_have_count(0)
    record.get_by_role("button", name="Q4").click()
    expect(mail_in(record).locator("em")).to_have_text("Nothing")
