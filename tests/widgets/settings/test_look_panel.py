"""The fold *Look* of the settings form: what is typed there is checked, shown, and part of what is tested and saved."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from PIL import Image

from docmail.look import Look
from docmail.settings import Settings, SmtpServer
from docmail.widgets.settings.form import SettingsForm

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from docmail.widgets.settings.look_panel import LookPanel

SETTINGS = Settings("Ann", SmtpServer("mail.example.org", username="ann@example.org"))


def logo() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "#0a5c8c").save(file, "PNG")
    return file.getvalue()


def typed(panel: LookPanel, **values: Any) -> None:
    """Do what the browser says when somebody types."""
    whole = {name: panel._values[name] or "" for name in ("name", "colour", "signature", "footer")}
    panel._press("typed", "", {**whole, "picked": panel._picked, **values})


def form_with_panel() -> tuple[SettingsForm, LookPanel]:
    form = SettingsForm()
    form.fields["look"].value = True
    assert form._look_panel is not None
    return form, form._look_panel


def test_the_panel_is_made_when_it_is_opened_and_taken_away_when_it_is_closed() -> None:
    form = SettingsForm()
    assert form._look_panel is None
    form.fields["look"].value = True
    panel = form._look_panel
    place = list(form.children).index(form.rows["look"].control)
    assert form.children[place + 1] is panel
    form.fields["look"].value = False
    assert panel not in form.children
    assert repr(form) == "<SettingsForm profile=default, not saved yet>"


def test_what_is_typed_is_seen_and_saved_with_the_settings_and_can_be_taken_back() -> None:
    SETTINGS.save()
    form, panel = form_with_panel()
    typed(panel, name="Example Ltd", signature="Ann Adams")
    assert "Ann Adams" in panel.html
    assert repr(form) == "<SettingsForm profile=default, changed>"
    assert form.save()
    assert Settings.load().look == Look("Example Ltd", signature="Ann Adams")
    typed(panel, name="", signature="")
    assert form.save()
    assert Settings.load().look is None


def test_a_mistake_stands_beside_its_field_and_nothing_is_saved_with_it() -> None:
    SETTINGS.save()
    form, panel = form_with_panel()
    typed(panel, name="Example Ltd")
    typed(panel, name="Example Ltd", colour="blue")
    assert "“blue” is no colour" in panel.html
    assert not form.save()
    assert form.rows["look"].wrong
    assert Settings.load().look is None
    typed(panel, name="Example Ltd", colour="")
    assert form.save()


def test_a_colour_is_typed_or_picked() -> None:
    _form, panel = form_with_panel()
    typed(panel, picked="#0a5c8c")
    assert panel._values["colour"] == "#0a5c8c"
    typed(panel, colour="#ffcc00")
    assert panel._values["colour"] == panel._picked == "#ffcc00"
    assert "is too light for text on white" in panel.html


def test_a_logo_is_taken_as_a_file_and_one_that_is_none_leaves_the_one_before() -> None:
    _form, panel = form_with_panel()
    panel._take_logo("logo.png", logo())
    assert panel._values["logo"] == logo()
    panel._take_logo("logo.png", b"%PDF-1.7")
    assert "The logo is a PDF" in panel.html
    assert panel._values["logo"] == logo()
    panel._press("remove-logo", "", {})
    assert panel._values["logo"] is None


def test_what_the_form_has_no_field_for_stays() -> None:
    Settings(SETTINGS.sender, SETTINGS.server, look=Look("Example Ltd", currency="EUR")).save()
    form, panel = form_with_panel()
    typed(panel, footer="Registered")
    assert form.save()
    assert Settings.load().look == Look("Example Ltd", currency="EUR", footer="Registered")


def test_what_the_organisation_fixes_is_said_and_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "organisation.toml"
    file.write_text('[look]\nname = "Example Ltd"\nfooter = "Registered in Cape Town"\n')
    monkeypatch.setenv("DOCMAIL_ORGANISATION", str(file))
    _form, panel = form_with_panel()
    assert panel.html.count("set by your organisation") == 2
    typed(panel, signature="Ann Adams")
    assert "Registered in Cape Town" in panel.html
    assert "Ann Adams" in panel.html
