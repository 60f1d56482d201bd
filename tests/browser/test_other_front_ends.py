"""Front ends that do not put outputs into JupyterLab's elements show a view or its static fallback, never both.

The pages have the shape that VS Code, nbclassic and Colab give to the outputs of a cell; the line that every view
contains is the real one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from markupsafe import Markup
from playwright.sync_api import expect

from docmail.widgets.parts import kernel_gone, markup
from docmail.widgets.parts.scripts import script

if TYPE_CHECKING:
    from playwright.sync_api import Page

STYLE = Markup((Path(kernel_gone.__file__).parent / "kernel_gone.css").read_text("utf-8"))  # noqa: S704 - it is ours
VIEW = Markup('<div class="docmail-form"><div class="line"></div><p class="view">{}</p></div>')

# VS Code's webviewPreloads.ts, nbclassic's outputarea.js, and Colab's frame for the outputs of one cell.
VS_CODE = Markup(
    '<div id="container"><div class="cell_container">'
    '<div class="output_container"><div class="output">{}</div></div>'
    '<div class="output_container"><div class="output">{}</div></div></div></div>'
)
CLASSIC = Markup('<div class="output"><div class="output_area">{}</div><div class="output_area">{}</div></div>')
COLAB = Markup('<div id="output-area"><div id="output-body"><div>{}</div><div>{}</div></div></div>')

RENDER = """async ([source, disconnected]) => {
  const { default: line } = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  const model = { get: (name) => (name === "words" ? { restarted: "restarted", ended: "ended" } : "Run again."),
                  on() {}, off() {}, widget_manager: null };
  for (const el of document.querySelectorAll(".line")) {
    el.classList.toggle("jupyter-widgets-disconnected", disconnected);
    line.render({ model, el });
  }
}"""


def cell(shape: Markup, name: str) -> Markup:
    return shape.format(markup.static(markup.paragraph(f"fallback {name}")), VIEW.format(f"view {name}"))


def show(page: Page, html: str, *, disconnected: bool = False) -> None:
    page.set_content(Markup("<!DOCTYPE html><style>{}</style>{}").format(STYLE, html))
    page.evaluate(RENDER, [script("kernel_gone"), disconnected])


@pytest.mark.parametrize("shape", [VS_CODE, CLASSIC, COLAB], ids=["VS Code", "nbclassic", "Colab"])
def test_where_the_view_is_the_fallback_is_not(page: Page, shape: Markup) -> None:
    show(page, cell(shape, "one") + cell(shape, "two"))
    expect(page.locator(".dm-replaced")).to_have_count(2)
    for name in ("one", "two"):
        expect(page.get_by_text(f"view {name}")).to_be_visible()
        expect(page.get_by_text(f"fallback {name}")).to_be_hidden()


@pytest.mark.parametrize("shape", [VS_CODE, CLASSIC, COLAB], ids=["VS Code", "nbclassic", "Colab"])
def test_where_a_view_comes_back_without_its_kernel_the_fallback_is_shown(page: Page, shape: Markup) -> None:
    show(page, cell(shape, "one"), disconnected=True)
    expect(page.get_by_text("fallback one")).to_be_visible()
    expect(page.get_by_text("view one")).to_be_hidden()


def test_the_fallback_of_another_view_stays(page: Page) -> None:
    """The first cell was reopened: its view is not there, so its fallback must be."""
    reopened = VS_CODE.format(markup.static(markup.paragraph("fallback one")), "")
    show(page, reopened + cell(VS_CODE, "two"))
    expect(page.get_by_text("fallback two")).to_be_hidden()
    expect(page.get_by_text("fallback one")).to_be_visible()
