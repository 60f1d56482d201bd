"""A look is whole or refused in a sentence, outlives its files, and is what mails have around their text."""

from __future__ import annotations

import email
import io
import json
import warnings
from dataclasses import replace
from email import policy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from PIL import Image, ImageDraw

import docmail
from docmail import home
from docmail.errors import SettingsError
from docmail.look import Look, contrast, readable
from docmail.message import Message, markdown_to_html
from docmail.reports.font_files import family
from docmail.settings import HttpServer, Settings, current_look
from docmail.text import source_of
from tests.support.mails import LETTERHEAD, SERVER, figure, logo

if TYPE_CHECKING:
    from email.message import EmailMessage

    from docmail.sandbox import Sandbox

ME = Settings("Example Ltd <accounts@example.com>", SERVER)


def font() -> bytes:
    """Return a TrueType font of this computer."""
    return bytes(family()[0].face.blob.data)


def sent(look: Look | None, body: Any = "Hello", settings: Settings = ME) -> EmailMessage:
    content = b"".join(Message("ann@example.com", "x", body, look=look).render(settings).wire())
    return email.message_from_bytes(content, policy=policy.default)


def text_of(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def picture(form: str, mode: str = "RGB", size: tuple[int, int] = (400, 200), **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, "red" if mode != "CMYK" else (0, 200, 200, 0)).save(file, form, **options)
    return file.getvalue()


# --- what is wrong with a look ---


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"name": "x" * 101}, "name", "longer than 100"),
        ({"name": "a\nb"}, "name", "invisible character"),
        ({"name": None}, "name", "must be text, not NoneType"),
        ({"logo": b"<svg xmlns='http://www.w3.org/2000/svg'/>"}, "logo", "SVG"),
        ({"logo": b"<?xml version='1.0'?><!-- x --><svg/>"}, "logo", "SVG"),
        ({"logo": b"\xef\xbb\xbf<svg/>"}, "logo", "SVG"),
        ({"logo": b"<!-- made by hand --><svg/>"}, "logo", "SVG"),
        ({"logo": "<svg/>".encode("utf-16")}, "logo", "SVG"),
        ({"logo": b"%PDF-1.4"}, "logo", "PDF"),
        ({"logo": b"hello"}, "logo", "no picture"),
        ({"logo": picture("PNG")[:200]}, "logo", "no picture, or is damaged"),
        ({"logo": picture("PNG", size=(1, 1))}, "logo", "1 by 1 pixels, which is too few"),
        ({"logo": picture("PNG", "1", (20_000, 20_000))}, "logo", "too many"),
        ({"logo": b"\x89PNG" + b"x" * 10_000_001}, "logo", "larger than 10 MB"),
        ({"logo": picture("PNG", size=(1000, 20))}, "logo", "too narrow"),
        ({"logo": picture("ICO", size=(32, 32))}, "logo", "save it as PNG"),
        ({"logo": "logo.png"}, "logo", "Path("),
        ({"logo": Path("/nowhere/logo.png")}, "logo", "cannot be read"),
        ({"font": b"OTTO"}, "font", "no TrueType font"),
        ({"font": b"wOF2" + bytes(50)}, "font", "WOFF"),
        ({"font": b"ttcf" + bytes(50)}, "font", "several fonts"),
        ({"font": font()[:5000]}, "font", "no TrueType font, or is damaged"),
        ({"colour": "red"}, "colour", "no colour"),
        ({"colour": "#12345"}, "colour", "no colour"),
        ({"colour": 5}, "colour", "no colour"),
        ({"signature": "x" * 1001}, "signature", "longer than 1000"),
        ({"signature": "x\n" * 16}, "signature", "more than 15 lines"),
        ({"signature": "<b>Ann</b>"}, "signature", "Markdown"),
        ({"footer": "x" * 2001}, "footer", "longer than 2000"),
        ({"locale": "xx-YY"}, "locale", "no locale"),
        ({"locale": "../../etc"}, "locale", "no locale"),
        ({"currency": "Euro"}, "currency", "three letters"),
        ({"currency": "XXX"}, "currency", "three letters"),
    ],
)
def test_what_no_look_can_have_is_refused_in_a_sentence(values: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Look(**values)
    assert [problem.field for problem in caught.value.problems] == [field]
    assert words in caught.value.problems[0].message
    assert docmail.presets.guide(caught.value.guide or "").markdown


def test_all_that_is_wrong_with_a_look_is_said_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        Look(logo=b"x", colour="red", currency="x")
    assert [problem.field for problem in caught.value.problems] == ["logo", "colour", "currency"]


def test_a_picture_that_moves_is_no_logo() -> None:
    frames = [Image.new("RGB", (100, 50), colour) for colour in ("red", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    with pytest.raises(SettingsError, match="moves"):
        Look(logo=file.getvalue())


def test_a_logo_of_nothing_is_refused() -> None:
    file = io.BytesIO()
    Image.new("RGBA", (50, 50), (255, 0, 0, 0)).save(file, "PNG")
    with pytest.raises(SettingsError, match="transparent"):
        Look(logo=file.getvalue())


@pytest.mark.parametrize("form", ["JPEG", "GIF", "WEBP", "BMP", "TIFF", "PNG"])
def test_every_common_picture_becomes_a_small_png(form: str) -> None:
    made = Look(logo=picture(form, size=(2000, 1000))).picture
    assert made is not None
    image = Image.open(io.BytesIO(made.content))
    assert image.format == "PNG"
    assert image.size == (made.width * 2, made.height * 2) == (192, 96)
    assert len(made.content) < 30_000


def test_a_printers_jpeg_has_a_screens_colours() -> None:
    made = Look(logo=picture("JPEG", "CMYK")).picture
    assert made is not None
    assert Image.open(io.BytesIO(made.content)).mode in {"RGB", "P"}


@pytest.mark.parametrize(("ink", "has_ground"), [((10, 20, 30, 255), True), ((90, 200, 250, 255), False)])
def test_a_dark_logo_without_ground_gets_a_white_one(ink: tuple[int, ...], has_ground: bool) -> None:  # noqa: FBT001
    image = Image.new("RGBA", (400, 200), (0, 0, 0, 0))
    ImageDraw.Draw(image).ellipse((0, 0, 399, 199), ink)
    file = io.BytesIO()
    image.save(file, "PNG")
    made = Look(logo=file.getvalue()).picture
    assert made is not None
    edge: Any = Image.open(io.BytesIO(made.content)).convert("RGBA").getpixel((made.width, 3))
    assert (edge == (255, 255, 255, 255)) is has_ground


# --- colours ---


def test_a_colour_that_is_nearly_dark_enough_is_not_said_to_be_so() -> None:
    """It said “4.5 : 1, and 4.5 : 1 is needed”."""
    with pytest.warns(UserWarning, match=r"\(4\.4 : 1, and 4\.5 : 1 is needed\)"):
        Look(colour="#777777")


def test_a_colour_that_cannot_be_read_is_said_and_gets_a_darker_shade() -> None:
    with pytest.warns(UserWarning, match=r"#ffcc00 is too light .*1\.5 : 1"):
        look = Look(colour="#FC0")
    assert look.colour == "#ffcc00"
    assert contrast(look.ink or "") >= 4.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Look(colour="0a5c8c").ink == "#0a5c8c"


@pytest.mark.parametrize("colour", ["#ffffff", "#000000", "#ffcc00", "#0a5c8c", "#808080", "#ff0000"])
@pytest.mark.parametrize("ground", ["#ffffff", "#1c2127", "#000000"])
def test_every_colour_has_a_shade_that_can_be_read(colour: str, ground: str) -> None:
    assert contrast(readable(colour, ground), ground) >= 4.5


# --- kept with a profile ---


def test_a_look_is_kept_with_its_profile_whatever_becomes_of_its_files(box: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "logo.png").write_bytes(logo())
    (tmp_path / "font.ttf").write_bytes(font())
    look = replace(LETTERHEAD, logo=tmp_path / "logo.png", font=tmp_path / "font.ttf", locale="de", currency="eur")
    replace(box.settings, look=look).save()
    for path in tmp_path.glob("*.*"):
        path.unlink()
    loaded = Settings.load()
    assert loaded.look == look == current_look()
    assert look.currency == "EUR"
    assert Settings.load() == replace(box.settings, look=look)


def test_settings_without_a_look_keep_the_one_that_was_saved(box: Sandbox) -> None:
    """The form makes settings of its fields alone."""
    replace(box.settings, look=LETTERHEAD).save()
    replace(box.settings, sender="Another <other@example.com>", look=None).save()
    assert Settings.load().look == LETTERHEAD
    replace(box.settings, look=Look.PLAIN).save()
    assert Settings.load().look is None
    assert not list((home.current().settings_file.parent / "looks").iterdir())


def test_an_older_docmail_saves_settings_and_loses_no_look(box: Sandbox) -> None:
    replace(box.settings, look=LETTERHEAD).save("work")
    path = home.current().settings_file
    stored = json.loads(path.read_text("utf-8"))
    assert stored["version"] == 1
    assert set(stored["profiles"]["work"]) == {"sender", "server", "copy_to", "reply_to", "mailbox"}
    stored["profiles"]["work"]["sender"] = "Older <older@example.com>"
    path.write_text(json.dumps(stored), "utf-8")
    assert Settings.load("work").look == LETTERHEAD


@pytest.mark.parametrize("content", ["{", '{"version": 1, "looks": {"default": []}}', '{"version": 2, "looks": {}}'])
def test_a_file_of_looks_that_cannot_be_read_is_left_as_it_is(box: Sandbox, content: str) -> None:
    box.settings.save()
    path = home.current().settings_file.parent / "looks.json"
    path.write_text(content, "utf-8")
    for step in (Settings.load, current_look, replace(box.settings, look=LETTERHEAD).save):
        with pytest.raises(SettingsError, match=r"looks\.json"):
            step()
    assert path.read_text("utf-8") == content


def test_a_logo_that_was_changed_in_the_folder_is_not_used(box: Sandbox) -> None:
    replace(box.settings, look=LETTERHEAD).save()
    [kept] = (home.current().settings_file.parent / "looks").iterdir()
    kept.write_bytes(logo((300, 300)))
    from docmail.look import keeping

    keeping._kept.cache_clear()
    with pytest.raises(SettingsError, match="damaged"):
        Settings.load()


# --- around the text of a mail ---


def test_a_mail_has_the_look_of_its_sender_unless_it_has_its_own(box: Sandbox) -> None:
    settings = replace(box.settings, look=Look("Example Ltd"))
    given: dict[str, Any] = {"to": "ann@example.com", "subject": "x", "body": "Hello", "settings": settings}
    docmail.send((), **given)
    docmail.send((), **given, look=Look("Another"))
    docmail.send((), **given, look=Look.PLAIN)
    names = [[name for name in ("Example Ltd", "Another") if name in (mail.html or "")] for mail in box.inbox]
    assert names == [["Example Ltd"], ["Another"], []]
    with pytest.raises(SettingsError, match="not str"):
        docmail.send((), **given, look="blue")  # type: ignore[arg-type]


def test_a_look_makes_no_other_mail_of_a_text(box: Sandbox) -> None:
    given: dict[str, Any] = {"to": "ann@example.com", "subject": "x", "body": ["Hello", figure()], "key": "1"}
    docmail.send((), **given, settings=box.settings)
    assert docmail.send((), **given, settings=replace(box.settings, look=LETTERHEAD)).repeated
    look = Message("ann@example.com", "x", "Hello", look=LETTERHEAD)
    assert source_of(look.body) == source_of(Message("ann@example.com", "x", "Hello").body)


def test_the_logo_travels_with_the_mail_under_the_name_of_the_company() -> None:
    mail = sent(LETTERHEAD)
    html = text_of(mail, "html")
    [part] = [part for part in mail.walk() if part["Content-ID"]]
    assert part.get_content_type() == "image/png"
    assert part.get_content_disposition() == "inline"
    assert f'src="cid:{part["Content-ID"].strip("<>")}" alt="Example Ltd"' in html
    assert sent(LETTERHEAD, "Other")["Content-Type"] != mail["Content-Type"]
    assert not [each.defects for each in mail.walk() if each.defects]
    both = sent(LETTERHEAD, ["Hello", figure()])
    names = [part["Content-ID"].strip("<>") for part in both.walk() if part["Content-ID"]]
    assert len(names) == 2
    assert all(f'src="cid:{name}"' in text_of(both, "html") for name in names)


def test_a_wide_logo_is_the_name_and_a_small_one_stands_beside_it() -> None:
    wide, square = LETTERHEAD, replace(LETTERHEAD, logo=logo((400, 400)))
    assert [text_of(sent(look), "html").count(">Example Ltd<") for look in (wide, square)] == [0, 1]


def test_a_form_gets_the_name_without_the_logo_because_it_carries_no_pictures() -> None:
    form = Settings("Example Ltd", HttpServer("forms.example.com"), reply_to=("a@example.com",), look=LETTERHEAD)
    mail = sent(None, settings=form)
    assert not [part for part in mail.walk() if part["Content-ID"]]
    assert ">Example Ltd<" in text_of(mail, "html")


def test_the_signature_stands_behind_its_delimiter_and_below_the_html() -> None:
    mail = sent(LETTERHEAD, "Hello **Ann**\n")
    assert text_of(mail, "plain") == (
        "Hello Ann\n\n-- \nKind regards\n\nAnn Adams\naccounts@example.com\n\n"
        "Example Ltd · 1 Long Street, Cape Town · Registration 2019/012345/07\n"
    )
    html = text_of(mail, "html")
    assert html.index("Hello") < html.index("Ann Adams") < html.index("Registration 2019")
    assert "-- " not in html.partition("<body")[2].replace("<!--[if mso]>", "")


def test_a_mail_that_is_signed_already_gets_no_second_signature() -> None:
    mail = sent(LETTERHEAD, "Hello\n-- \nBob")
    assert text_of(mail, "plain").startswith("Hello\n-- \nBob\n\nExample Ltd ·")
    assert "Ann Adams" not in text_of(mail, "html")


def test_a_mail_without_a_text_has_the_signature_as_its_text() -> None:
    assert text_of(sent(LETTERHEAD, ""), "plain").startswith("-- \nKind regards")
    assert sent(Look("Example Ltd"), "").get_content_type() == "text/plain"


def test_a_mail_names_its_language_and_direction() -> None:
    def opened(text: str, **given: Any) -> str:
        return markdown_to_html(text, **given).partition("<html ")[2].partition(" xmlns")[0]

    assert opened("Hello") == 'lang="en" dir="ltr"'
    assert opened("Guten Tag", look=Look(locale="de_AT")) == 'lang="de-AT" dir="ltr"'
    assert opened("Guten Tag", look=Look(locale="de"), lang="fr") == 'lang="fr" dir="ltr"'
    assert opened("שלום חנה, Hello") == 'lang="he" dir="rtl"'
    assert opened("مرحبا") == 'lang="ar" dir="rtl"'
    assert opened("Hello Ann, שלום") == 'lang="en" dir="ltr"'


def test_numbers_in_tables_have_the_signs_of_the_look(box: Sandbox) -> None:
    frame = pd.DataFrame({"Amount": [1234.5, 20.25]})
    german = Look(locale="de")
    assert "1.234,50" in Message("a@example.com", "x", frame, look=german).body
    assert "1,234.50" in Message("a@example.com", "x", frame, look=german, locale="en").body
    replace(box.settings, look=german).save()
    assert "1.234,50" in Message("a@example.com", "x", frame).body
    assert "1,234.50" in Message("a@example.com", "x", frame, look=Look.PLAIN).body
    [message] = docmail.merge([{"no": 1, "x": 1234.5}], key="no", to="a@example.com", subject="x", body="{{ x }}")
    assert message.body == "1.234,5" or "1.234" in message.body


def test_documents_made_in_a_home_without_settings_have_no_look(box: Sandbox) -> None:
    assert current_look() == Look.PLAIN
    assert box.settings.look is None


# --- what Gmail would cut off ---


def test_a_mail_that_gmail_would_cut_off_says_so_before_it_is_sent(box: Sandbox) -> None:
    short, long = (Message("a@example.com", "x", text, key=text[:1]) for text in ("short", "long " * 25_000))
    assert short.render(ME).advice == ""
    assert "Gmail shows the first 102 kB" in long.render(ME).advice
    outbox = docmail.Outbox()
    with pytest.warns(UserWarning, match="row 2: The text of this mail has 12"):
        added = outbox.add_all([short, long], batch="b", settings=box.settings)
    assert [(note.row, note.key, note.field) for note in added.notes] == [(2, "l", "body")]
    assert repr(added) == "<Added 2 to 'b', 0 known, 1 with a note>"
    with pytest.warns(UserWarning, match="Gmail shows"):
        docmail.send((), to="a@example.com", subject="x", body="long " * 25_000, settings=box.settings)
