"""The pieces of HTML that docmail's forms consist of; whatever comes from outside is escaped here."""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any

from docmail import presets, privacy
from docmail.errors import DocmailError
from docmail.language import _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from docmail.diagnosis import Check
    from docmail.presets import Preset, Service
    from docmail.reply import Reply

without_addresses = privacy.without_addresses


def problem(text: str) -> str:
    """Return what is wrong with a field: never by colour alone."""
    return f'<span class="dm-problem"><span aria-hidden="true">✗</span> {escape(text)}</span>'


def warning(text: str) -> str:
    """Return something that a person should think about beside a field."""
    return f'<span class="dm-warning"><span aria-hidden="true">⚠</span> {escape(text)}</span>'


def found(text: str, *more: str) -> str:
    """Return something that is as it should be, beside a field, and what else is to be said about it."""
    further = "".join(f" {escape(sentence)}" for sentence in more)
    return f'<span class="dm-ok" aria-hidden="true">✓</span> {escape(text)}{further}'


def short_failure(exc: BaseException) -> str:
    """Return an exception beside a field: what happened and what to do."""
    return problem(str(exc) if isinstance(exc, DocmailError) else f"{type(exc).__name__}: {exc}")


def box(kind: str, *parts: str) -> str:
    """Return a framed message; the kind is "good", "bad" or "mind"."""
    return f'<div class="dm-box dm-{kind}">{"".join(parts)}</div>'


def paragraph(text: str) -> str:
    """Return a text as a paragraph."""
    return f"<p>{escape(text)}</p>"


def good(text: str) -> str:
    """Return a sentence that reports success."""
    return f'<p><span class="dm-ok" aria-hidden="true">✓</span> {escape(text)}</p>'


def bad(text: str) -> str:
    """Return a sentence that reports a failure."""
    return f'<p><span class="dm-problem" aria-hidden="true">✗</span> <b>{escape(text)}</b></p>'


def folded(summary: str, content: str) -> str:
    """Return HTML that opens on demand."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def said(reply: Reply | None) -> str:
    """Return the server's own words, folded; nothing if it said none."""
    if reply is None:
        return ""
    return folded(_("What the server said"), f'<div class="dm-said">{escape(str(reply))}</div>')


def guide(heading: str | None, summary: str = "") -> str:
    """Return the guide's section under this heading, folded below the summary; nothing if there is none."""
    if not heading:
        return ""
    try:
        section = presets.guide(heading)
    except DocmailError:
        return ""
    summary = summary or _("Show me how: {title}").format(title=section.title)
    # It may be long enough to be scrolled, which the keyboard must be able to do as well.
    opening = f'<div class="dm-guide" tabindex="0" role="group" aria-label="{escape(section.title)}">'
    return folded(summary, f"{opening}{_markdown()(section.markdown)}</div>")


def guide_panel(preset: Preset | Service, *, opened: bool) -> str:
    """Return the steps for a provider or service as they stand beside the form, with the whole guide folded below."""
    steps, whole = presets.steps(preset), presets.guide(preset.guide)
    without_heading = steps.markdown.partition("\n")[2]
    others = whole.markdown.partition("\n")[2].replace(steps.markdown, "")
    rest = folded(_("More about {provider}").format(provider=whole.title), _markdown()(others))
    checked = _("Checked on {date}.").format(date=preset.checked.isoformat())
    return (
        f'<details class="dm-guide-card"{" open" if opened else ""}><summary>{escape(steps.title)}</summary>'
        f'<div class="dm-guide">{_markdown()(without_heading)}<p>{escape(checked)}</p>{rest}</div></details>'
    )


def failure(exc: BaseException) -> str:
    """Return an exception as a person should meet it: what happened, what to do, what the server said, the guide."""
    if isinstance(exc, DocmailError):
        reply = getattr(exc, "reply", None)
        sentence = without_reply(exc.message, reply)
        return box("bad", bad(sentence), paragraph(exc.hint) if exc.hint else "", said(reply), guide(exc.guide))
    return box(
        "bad",
        bad(_("docmail failed in a way that nobody foresaw.")),
        paragraph(_("Please report it with these words: {error}").format(error=f"{type(exc).__name__}: {exc}")),
    )


def without_reply(sentence: str, reply: Reply | None) -> str:
    """Return an error's sentence without the server's words at its end, which stand folded below it."""
    return sentence if reply is None else without_end(sentence, str(reply))


def without_end(text: str, words: str) -> str:
    """Return a text without its last sentence if that one ends with these words."""
    found = re.fullmatch(rf"(?s)(.+?[.:!?])\s[^.]*{re.escape(words)}\.?", text)
    return found[1] if found else text


# A view that its own kernel made, also when that is gone since (`kernel_gone.js` then adds `dm-gone`).
_VIEW = ":is(.docmail, .docmail-form):not(.jupyter-widgets-disconnected:not(.dm-gone, .dm-gone *))"
_STATIC_STYLE = f"""\
.docmail-static {{ max-height: 0; overflow: hidden; animation: docmail-static 0s 2s forwards; }}
@keyframes docmail-static {{ to {{ max-height: 40em; }} }}
.jp-OutputArea-child:has(.docmail-static):has(+ .jp-OutputArea-child {_VIEW}),
.jp-OutputArea-child:has(.docmail-static, .docmail-beside) + .jp-OutputArea-child:not(:has({_VIEW})) {{
  display: block; height: 0; overflow: hidden; visibility: hidden;
}}"""


def static(html: str) -> str:
    """Return what a notebook shows where the live view cannot be: reopened later, or without its kernel.

    JupyterLab prefers the live view of a trusted notebook even when its kernel is gone, and then says "model not
    found", waits for ever, or draws it without life. So these words are an output of their own above the view's. They
    hide while the view comes or is there; otherwise they hide what stands in its place.
    """
    return f'<div class="docmail-static"><style>{_STATIC_STYLE}</style>{html}</div>'


def beside(html: str) -> str:
    """Return what a notebook shows above a live view, with it and without it."""
    return f'<div class="docmail-beside"><style>{_STATIC_STYLE}</style>{html}</div>'


def without_front_end() -> str:
    """Return what to do where the notebook server lacks the widgets' JavaScript.

    The browser decides whether it is shown: a kernel that runs a cell does not hear from a front end that is there.
    It appears some seconds later, as `static` does and by the same animation, unless `kernel_gone.css` hides it for
    good.
    """
    said = box(
        "mind",
        paragraph(_("If you see no buttons above, this notebook server lacks docmail's front end (anywidget).")),
        paragraph(
            _(
                "Ask for anywidget to be installed beside JupyterLab. Until then: save the settings with "
                "docmail.Settings(...).save(), and give the password with docmail.credentials.ask(settings) "
                "or in the environment variable DOCMAIL_PASSWORD."
            )
        ),
    )
    return f'<div style="max-height: 0; overflow: hidden; animation: docmail-static 0s 5s forwards">{said}</div>'


def checks(passed: Iterable[Check]) -> str:
    """Return the steps of a test, one line each: sign, what, details, time."""
    cells = []
    for check in passed:
        sign, style = ("✓", "dm-ok") if check.ok else ("✗", "dm-problem")
        word = _("passed") if check.ok else _("failed")
        cells.append(
            f'<span class="{style}" role="img" aria-label="{escape(word)}">{sign}</span>'
            f"<span>{escape(phase(check.phase))}</span>"
            f"<span>{escape(check.text) if check.ok else ''}</span>"
            f'<span class="dm-time">{escape(seconds(check.seconds))}</span>'
        )
    return f'<div class="dm-checks">{"".join(cells)}</div>'


def phase(name: str) -> str:
    """Return what a phase of a test is called in the form."""
    names: dict[str, Callable[[], str]] = {
        "settings": lambda: _("settings"),
        "credential": lambda: _("password"),
        "dns": lambda: _("server's name"),
        "connect": lambda: _("connection"),
        "tls": lambda: _("encryption"),
        "greeting": lambda: _("greeting"),
        "ehlo": lambda: _("what it offers"),
        "auth": lambda: _("sign-in"),
        "mail": lambda: _("sender"),
        "rcpt": lambda: _("recipient"),
        "data": lambda: _("message"),
        "request": lambda: _("request"),
        "reply": lambda: _("answer"),
    }
    return names[name]() if name in names else name


def seconds(value: float) -> str:
    """Return a duration in the unit that suits it."""
    if value < 0.95:  # noqa: PLR2004 - "950 ms" is read more slowly than "1.0 s"
        return _("{number} ms").format(number=round(value * 1000))
    return _("{number} s").format(number=f"{value:.1f}")


def size(octets: int) -> str:
    """Return a file's size as people say it."""
    if octets < 1000:  # noqa: PLR2004
        return _("{number} bytes").format(number=octets)
    if octets < 999_500:  # noqa: PLR2004
        return _("{number} kB").format(number=round(octets / 1000))
    return _("{number} MB").format(number=f"{octets / 1e6:.1f}")


def when(moment: datetime) -> str:
    """Return a time as people say it: today without the date."""
    local, now = moment.astimezone(), datetime.now().astimezone()
    if local.date() == now.date():
        return _("today {time}").format(time=f"{local:%H:%M}")
    return f"{local:%Y-%m-%d %H:%M}"


def listed(names: Sequence[str], most: int) -> str:
    """Return the first names, and how many more there are."""
    said = ", ".join(names[:most])
    more = len(names) - most
    return f"{said} {_('and {number} more').format(number=more)}" if more > 0 else said


@cache
def _markdown() -> Callable[[str], Any]:
    import mistune

    class NewTab(mistune.HTMLRenderer):
        """A link followed in the same tab would close the notebook."""

        def link(self, text: str, url: str, title: str | None = None) -> str:
            return super().link(text, url, title).replace("<a ", '<a target="_blank" rel="noopener noreferrer" ', 1)

    return mistune.create_markdown(renderer=NewTab(escape=True), plugins=["table", "url"])
