"""The pieces of HTML that docmail's views consist of.

Text and HTML are two types: what makes HTML returns `Markup`, and a text that is put into one is escaped.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup

from docmail import presets, privacy
from docmail.addresses import is_web_address
from docmail.errors import DocmailError, Phase
from docmail.errors import Guide as Heading
from docmail.language import _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from docmail.diagnosis import Check, DomainReport
    from docmail.presets import Guide, Preset, Service
    from docmail.reply import Reply

NOTHING = Markup()
BUTTON, LINK = "jupyter-button widget-button", "dm-link"
"""The two looks of a button."""

without_addresses = privacy.without_addresses


# --- elements ---


def tag(name: str, content: object = "", **attributes: object) -> Markup:
    """Return an element; `class_` is the attribute class, `data_id` data-id.

    Of the attributes, None and False are left out, and True stands without a value.
    """
    begin = Markup("<{}").format(name)
    for each, value in attributes.items():
        if value is not None and value is not False:
            begin += Markup(" {}").format(each.rstrip("_").replace("_", "-"))
            begin += NOTHING if value is True else Markup('="{}"').format(value)
    return begin + Markup(">") + (NOTHING if name == "input" else Markup("{}</{}>").format(content, name))


def joined(parts: Iterable[str]) -> Markup:
    """Return pieces of HTML one after the other."""
    return NOTHING.join(parts)


def button(
    press: str, label: str, which: object = "", *, style: str = BUTTON, careful: bool = False, **attributes: object
) -> Markup:
    """Return a button as `painted.js` knows it; one that is `careful` is off until it can have been read."""
    return tag(
        "button",
        label,
        type="button",
        class_=style,
        data_press=press,
        data_id=which,
        data_careful=careful,
        **attributes,
    )


def entry(name: str, value: object = "", **attributes: object) -> Markup:
    """Return an input for a line of text as `painted.js` knows it."""
    return tag("input", type="text", data_name=name, value=value, **attributes)


def menu(name: str, choices: Mapping[str, str], chosen: str = "", **attributes: object) -> Markup:
    """Return a menu as `painted.js` knows it; `choices` are values with what is read of them."""
    options = (tag("option", words, value=value, selected=value == chosen) for value, words in choices.items())
    return tag("select", joined(options), data_name=name, **attributes)


def zones(*names: str) -> Markup:
    """Return places that `Painted.draw()` fills."""
    return joined(tag("div", data_zone=name) for name in names)


def pager(middle: str, backwards: tuple[str, str], forwards: tuple[str, str], *, first: bool, last: bool) -> Markup:
    """Return what leafs through pages, each way with its action and its title; `middle` says where one is."""
    ways = ((Markup("&lsaquo;"), backwards, first), (Markup("&rsaquo;"), forwards, last))
    before, after = (
        button(action, sign, title=title, aria_label=title, disabled=off) for sign, (action, title), off in ways
    )
    return tag(
        "div",
        joined([before, middle, after]),
        class_="dm-pager",
        data_arrows=f"{backwards[0]} {forwards[0]}",
        role="group",
        aria_label=_("Pages"),
    )


def table(lines: Iterable[Iterable[str]], head: str = NOTHING, **cell: object) -> Markup:
    """Return a table of lines of cells, below the cells of its head; `cell` are the attributes of each."""
    begin = Markup("<thead><tr>{}</tr></thead>").format(head) if head else NOTHING
    rows = joined(tag("tr", joined(tag("td", each, **cell) for each in line)) for line in lines)
    return Markup("<table>{}<tbody>{}</tbody></table>").format(begin, rows)


def facts(pairs: Iterable[tuple[str, str]]) -> Markup:
    """Return what is called how, as a list."""
    listed = joined(Markup("<dt>{}</dt><dd>{}</dd>").format(*pair) for pair in pairs)
    return tag("dl", listed, class_="dm-facts-list")


def aside(text: str) -> Markup:
    """Return something that is less important than what it stands beside."""
    return tag("span", text, class_="dm-facts")


def heading(title: str, right: str = "", **attributes: object) -> Markup:
    """Return the first line of a view; the attributes are those of what stands at its right."""
    return Markup('<div class="dm-heading"><b>{}</b>{}</div>').format(title, tag("span", right, **attributes))


def bar(done: int, total: int, label: str) -> Markup:
    """Return how far something is."""
    return tag("progress", max=max(total, 1), value=done, aria_label=label, style="width: 100%")


def shares(parts: Sequence[tuple[str, int]], total: int, label: str) -> Markup:
    """Return how far something is, and what came of it: each part by its style and its number, in their order."""
    pieces = (tag("span", class_=f"dm-part-{style}", style=f"flex-grow: {number}") for style, number in parts if number)
    rest = total - sum(number for _style, number in parts)
    return tag(
        "div",
        joined([*pieces, tag("span", style=f"flex-grow: {rest}") if rest > 0 else NOTHING]),
        class_="dm-shares",
        role="progressbar",
        aria_valuemin=0,
        aria_valuemax=max(total, 1),
        aria_valuenow=total - max(rest, 0),
        aria_valuetext=label,
        aria_label=label,
    )


def isolated(text: str) -> Markup:
    """Return a text whose direction of writing changes nothing around it."""
    return Markup("<bdi>{}</bdi>").format(text)


def copy_button(label: str, selected: str | None = None) -> Markup:
    """Return a button that copies what stands beside it in `dm-copied`; `controls.js` brings it to life."""
    return tag(
        "button", label, type="button", class_=f"dm-copy {BUTTON}", data_copied=_("Copied"), data_selected=selected
    )


def setter(field: str, value: object, label: str, *, then: str = "", **attributes: object) -> Markup:
    """Return a button that gives a field of the form a value (of a choice: its place), and the focus to field `then`.

    `controls.js` brings it to life, without the kernel.
    """
    return tag("button", label, type="button", data_set=field, data_value=value, data_then=then or None, **attributes)


def fold_button(name: str, label: str) -> Markup:
    """Return a button that shows and hides the rows of a fold; `controls.js` brings it to life."""
    return tag("button", label, type="button", class_=f"{LINK} dm-fold", data_fold=name, aria_expanded="false")


def choices(label: str, *buttons: Markup) -> Markup:
    """Return a choice of one of these setters, told apart by which of them is pressed."""
    return tag("div", joined(buttons), class_="dm-choices", role="group", aria_label=label)


def scrolled(content: str, label: str, style: str) -> Markup:
    """Return what may be long enough to be scrolled, which the keyboard must be able to do as well."""
    return tag("div", content, class_=style, tabindex=0, role="group", aria_label=label)


def anchor(url: str, text: str = "") -> Markup:
    """Return a link; one that is followed in the same tab would close the notebook.

    An address may come from a server, so one that is not http(s):// is shown as the text that it is.
    """
    if not is_web_address(url):
        return Markup("{}").format(f"{text}: {url}" if text else url)
    return tag("a", text or url, href=url, target="_blank", rel="noopener noreferrer")


# --- sentences ---


def problem(text: str) -> Markup:
    """Return what is wrong with a field: never by colour alone."""
    return Markup('<span class="dm-problem"><span aria-hidden="true">✗</span> {}</span>').format(text)


def warning(text: str) -> Markup:
    """Return something that a person should think about beside a field."""
    return Markup('<span class="dm-warning"><span aria-hidden="true">⚠</span> {}</span>').format(text)


def found(*sentences: str) -> Markup:
    """Return something that is as it should be, beside a field."""
    return Markup('<span class="dm-ok" aria-hidden="true">✓</span> {}').format(" ".join(filter(None, sentences)))


def wide(*parts: str) -> Markup:
    """Return a note that needs more room than there is beside a field."""
    return tag("span", Markup(" ").join(parts), class_="dm-wide")


def short_failure(exc: BaseException) -> Markup:
    """Return an exception beside a field: what happened and what to do."""
    return problem(str(exc) if isinstance(exc, DocmailError) else f"{type(exc).__name__}: {exc}")


def box(kind: str, *parts: str) -> Markup:
    """Return a framed message; the kind is "good", "bad" or "mind"."""
    return tag("div", joined(parts), class_=f"dm-box dm-{kind}")


def paragraph(text: str) -> Markup:
    """Return a text as a paragraph."""
    return Markup("<p>{}</p>").format(text)


def note(text: str) -> Markup:
    """Return a framed sentence that a person should think about."""
    return box("mind", paragraph(text))


def good(text: str) -> Markup:
    """Return a sentence that reports success."""
    return Markup('<p><span class="dm-ok" aria-hidden="true">✓</span> {}</p>').format(text)


def bad(text: str) -> Markup:
    """Return a sentence that reports a failure."""
    return Markup('<p><span class="dm-problem" aria-hidden="true">✗</span> <b>{}</b></p>').format(text)


def question(text: str) -> Markup:
    """Return what is asked before something is done."""
    return tag("span", text, class_="dm-question", role="status")


def status(content: str) -> Markup:
    """Return what came of something, which assistive technology reads out; nothing if nothing did."""
    return tag("div", content, role="status") if content else NOTHING


_SIGNS = {"good": ("dm-ok", "✓"), "bad": ("dm-problem", "✗"), "mind": ("dm-warning", "⚠"), "idle": ("dm-idle", "●")}


def standing(kind: str, sentence: str) -> Markup:
    """Return how things stand, beside the buttons; the kind is "good", "bad", "mind" or "idle"."""
    style, sign = _SIGNS[kind]
    return Markup('<span class="{}" aria-hidden="true">{}</span> {}').format(style, sign, sentence)


def folded(summary: str, content: str, *, opened: bool = False) -> Markup:
    """Return HTML that opens on demand."""
    return Markup("<details{}><summary>{}</summary>{}</details>").format(" open" if opened else "", summary, content)


def said(reply: Reply | None, *, opened: bool = False) -> Markup:
    """Return what the server replied, folded; nothing if it did not reply."""
    if reply is None:
        return NOTHING
    return folded(_("What the server said"), tag("div", str(reply), class_="dm-said"), opened=opened)


def guide(title: str | None) -> Markup:
    """Return the guide's section of this title, folded; nothing if there is none."""
    section = guide_section(title)
    if not title or not section:
        return NOTHING
    return folded(_("Show me how: {title}").format(title=presets.guide(title).title), section)


def guide_section(title: str | None) -> Markup:
    """Return the guide's section of this title; nothing if there is none."""
    if not title:
        return NOTHING
    try:
        section = presets.guide(title)
    except DocmailError:
        return NOTHING
    return scrolled(_from_markdown(section.markdown), section.title, "dm-guide")


def section(guide: Guide) -> Markup:
    """Return the text of a guide's section, without its heading."""
    return tag("div", _from_markdown(guide.markdown.partition("\n")[2]), class_="dm-section")


def first_steps(preset: Preset | Service) -> Markup:
    """Return the steps for a provider or service that come before the test and after its choice, as a list."""
    found = re.findall(r"(?m)^\d+\. (.+)$", presets.steps(preset).markdown)
    labels = [f"**{label}**" for label in (_("Test email settings"), _("Provider"))]
    steps = [step for step in found if not any(label in step for label in labels)]
    # One sentence alone needs no full stop in a list.
    short = (step if ". " in step else step.removesuffix(".") for step in steps)
    numbered = "\n".join(f"{number}. {step}" for number, step in enumerate(short, 1))
    return tag("div", _from_markdown(numbered), class_="dm-steps") if steps else NOTHING


def guide_panel(preset: Preset | Service, *, opened: bool) -> Markup:
    """Return the steps for a provider or service as they stand beside the form, with the whole guide folded below.

    An organisation's own server has the steps alone, which docmail has not checked.
    """
    steps = presets.steps(preset)
    below = NOTHING
    if preset.guide:
        whole = presets.guide(preset.guide)
        others = whole.markdown.partition("\n")[2].replace(steps.markdown, "")
        below = paragraph(_("Checked on {date}.").format(date=preset.checked.isoformat()))
        below += folded(_("More about {provider}").format(provider=whole.title), _from_markdown(others))
    return Markup(
        '<details class="dm-guide-card"{}><summary>{}</summary><div class="dm-guide">{}{}</div></details>'
    ).format(" open" if opened else "", steps.title, _from_markdown(steps.markdown.partition("\n")[2]), below)


def failure(exc: BaseException) -> Markup:
    """Return an exception as a person should meet it: what happened, what to do, what the server said, the guide."""
    if isinstance(exc, DocmailError):
        reply = getattr(exc, "reply", None)
        return failed(without_reply(exc.message, reply), exc.hint, reply, exc.guide)
    return failed(
        _("docmail failed because of an error in docmail itself."),
        _("Please report it with these words: {error}").format(error=f"{type(exc).__name__}: {exc}"),
    )


def failed(sentence: str, hint: str = "", reply: Reply | None = None, guide_title: str | None = None) -> Markup:
    """Return what failed: a sentence, what to do, what the server said, the guide."""
    return box("bad", bad(sentence), paragraph(hint) if hint else NOTHING, said(reply), guide(guide_title))


def without_reply(sentence: str, reply: Reply | None) -> str:
    """Return an error's sentence without the reply text at its end, which stands folded below it."""
    return sentence if reply is None else without_end(sentence, str(reply))


def without_end(text: str, end: str) -> str:
    """Return a text without its last sentence if that one ends with these words."""
    shortened = re.fullmatch(rf"(?s)(.+?[.:!?])\s[^.]*{re.escape(end)}\.?", text)
    return shortened[1] if shortened else text


def nameless(html: Markup) -> Markup:
    """Return HTML without the email addresses in it."""
    return Markup(without_addresses(html))  # noqa: S704 - HTML in which a word is replaced by dots


# --- what stands above a view ---

# A view that its own kernel made, also when that is gone since (`kernel_gone.js` then adds `dm-gone`).
_STATIC_STYLE = Markup("""\
.docmail-static {{ max-height: 0; overflow: hidden; animation: docmail-static 0s 2s forwards; }}
@keyframes docmail-static {{ to {{ max-height: 40em; }} }}
.jp-OutputArea-child:has(.docmail-static):has(+ .jp-OutputArea-child {view}),
.jp-OutputArea-child:has(.docmail-static, .docmail-beside) + .jp-OutputArea-child:not(:has({view})) {{
  display: block; height: 0; overflow: hidden; visibility: hidden;
}}""").format(view=Markup(":is(.docmail, .docmail-form):not(.jupyter-widgets-disconnected:not(.dm-gone, .dm-gone *))"))


def static(html: str) -> Markup:
    """Return what a notebook shows where the view cannot be: reopened later, or without its kernel.

    JupyterLab prefers the view of a trusted notebook even when its kernel is gone, and then says "model not found",
    waits for ever, or draws it without life. So the fallback is an output of its own above the view's. It hides
    while the view comes or is there; otherwise it hides what stands in its place.
    """
    return Markup('<div class="docmail-static"><style>{}</style>{}</div>').format(_STATIC_STYLE, html)


def beside(html: str) -> Markup:
    """Return what a notebook shows above a view, with it and without it."""
    return Markup('<div class="docmail-beside"><style>{}</style>{}</div>').format(_STATIC_STYLE, html)


def without_front_end() -> Markup:
    """Return what to do where the notebook server lacks the widgets' JavaScript.

    The browser decides whether it is shown: a kernel that runs a cell does not hear from a front end that is there.
    It appears some seconds later, as `static` does and by the same animation, unless `kernel_gone.css` hides it for
    good.
    """
    return tag(
        "div",
        box(
            "mind",
            paragraph(_("If you see no buttons above, this notebook server lacks docmail's front end (anywidget).")),
            paragraph(
                _(
                    "Ask for anywidget to be installed beside JupyterLab. Until then: save the settings with "
                    "docmail.Settings(...).save(), and give the password with docmail.credentials.ask(settings) "
                    "or in the environment variable DOCMAIL_PASSWORD."
                )
            ),
        ),
        style="max-height: 0; overflow: hidden; animation: docmail-static 0s 5s forwards",
    )


# --- facts ---


def checks(passed: Iterable[Check], failing: str = NOTHING) -> Markup:
    """Return the steps of a test, one line each: sign, what, details, time; below the last one what is `failing`."""
    line = Markup(
        '<span class="{}" role="img" aria-label="{}">{}</span><span>{}</span><span>{}</span>'
        '<span class="dm-time">{}</span>'
    )
    cells = (
        line.format(
            *(("dm-ok", _("passed"), "✓") if check.ok else ("dm-problem", _("failed"), "✗")),
            phase(check.phase),
            check.text if check.ok else "",
            seconds(check.seconds),
        )
        for check in passed
    )
    below = tag("div", failing, class_="dm-failing") if failing else NOTHING
    return tag("div", joined(cells) + below, class_="dm-checks")


def domain(report: DomainReport) -> Markup:
    """Return what the DNS says about the sender's domain, and the letter to the person who can change it."""
    signs = {
        "good": ("dm-ok", _("in order"), "✓"),
        "advice": ("dm-warning", _("to change"), "⚠"),
        "unknown": ("dm-facts", _("not known"), "?"),
    }
    line = Markup(
        '<span class="{}" role="img" aria-label="{}">{}</span><span>{}</span><span>{}</span>'
        '<span class="dm-time"></span>'
    )
    lines = (
        line.format(*signs[check.standing], _("domain") if check.subject == "domain" else check.subject, check.text)
        for check in report.checks
    )
    parts = [
        paragraph(_("What the domain's DNS says about its mails; it changes nothing about the test:")),
        tag("div", joined(lines), class_="dm-checks"),
    ]
    if report.letter:
        text = tag("pre", report.letter, class_="dm-said dm-copied", tabindex=0, role="group", aria_label=_("Letter"))
        copy = copy_button(_("Copy"), _("Selected: press Ctrl+C"))
        parts.append(folded(_("Letter to the person who keeps the DNS"), copy + text))
    if report.standing == "advice":
        parts.append(guide(Heading.SPAM))
    return tag("div", joined(parts), class_="dm-support-report dm-domain")


def steps(passed: Iterable[str], pending: str) -> Markup:
    """Return how far a test is, in a line: what is done, and what is waited for."""
    done: dict[str, str] = {
        Phase.DNS: _("name"),
        Phase.CONNECT: _("connected"),
        Phase.TLS: _("encrypted"),
        Phase.AUTH: _("signed in"),
    }
    waiting: dict[str, str] = {
        Phase.CREDENTIAL: _("reading the password …"),
        Phase.DNS: _("looking up the server's name …"),
        Phase.CONNECT: _("connecting …"),
        Phase.TLS: _("encrypting …"),
        Phase.GREETING: _("waiting for the greeting …"),
        Phase.EHLO: _("asking what the server offers …"),
        Phase.AUTH: _("signing in …"),
        Phase.FOLDERS: _("reading the mailbox's folders …"),
        Phase.MAIL: _("giving the sender …"),
        Phase.RCPT: _("giving the recipient …"),
        Phase.DATA: _("sending the test email …"),
        Phase.REQUEST: _("sending the test email …"),
        Phase.REPLY: _("waiting for the reply …"),
        "": _("looking at the domain's DNS …"),  # after the last phase
    }
    marks = [("dm-ok", "✓", words) for each in passed if (words := done.get(each))]
    if pending in waiting:
        marks.append(("dm-pending", "◌", waiting[pending]))
    return joined(
        Markup('<span class="dm-step"><span class="{}" aria-hidden="true">{}</span> {}</span>').format(*mark)
        for mark in marks
    )


def phase(name: str) -> str:
    """Return what a phase of a test is called in the form."""
    names: dict[str, str] = {
        Phase.SETTINGS: _("settings"),
        Phase.CREDENTIAL: _("password"),
        Phase.DNS: _("server's name"),
        Phase.CONNECT: _("connection"),
        Phase.TLS: _("encryption"),
        Phase.GREETING: _("greeting"),
        Phase.EHLO: _("what it offers"),
        Phase.AUTH: _("sign-in"),
        Phase.FOLDERS: _("folders"),
        Phase.MAIL: _("sender"),
        Phase.RCPT: _("recipient"),
        Phase.DATA: _("message"),
        Phase.REQUEST: _("request"),
        Phase.REPLY: _("reply"),
    }
    return names.get(name, name)


def seconds(value: float) -> str:
    """Return a duration in the unit that suits it."""
    if value < 0.95:  # noqa: PLR2004 - "950 ms" is read more slowly than "1.0 s"
        return _("{number} ms").format(number=round(value * 1000))
    return _("{number} s").format(number=f"{value:.1f}")


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


def _from_markdown(text: str) -> Markup:
    return Markup(_markdown()(text))  # noqa: S704 - the guides are ours, and HTML in them is escaped


@cache
def _markdown() -> Callable[[str], object]:
    import mistune

    class NewTab(mistune.HTMLRenderer):
        """A link followed in the same tab would close the notebook."""

        def link(self, text: str, url: str, title: str | None = None) -> str:
            if not is_web_address(url):
                return text
            return super().link(text, url, title).replace("<a ", '<a target="_blank" rel="noopener noreferrer" ', 1)

    return mistune.create_markdown(renderer=NewTab(escape=True), plugins=["table", "url"])
