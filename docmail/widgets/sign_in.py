"""Signing in with Microsoft in the settings form: a code, a link, and a wait in the background that can be stopped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from docmail import oauth, presets
from docmail.addresses import trimmed
from docmail.errors import DocmailError, SendError
from docmail.settings import SignIn
from docmail.translation import _
from docmail.widgets import markup
from docmail.widgets.controls import Actions
from docmail.widgets.rows import light
from docmail.widgets.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from docmail.credentials import Secret, Where
    from docmail.errors import Problem
    from docmail.oauth.microsoft import Code
    from docmail.settings import Settings
    from docmail.widgets.rows import Rows

SIGN_IN, SIGN_OUT = "sign-in", "sign-out"

_NEEDED = ("url", "api_url", "host", "username", "client_id", "tenant")
"""What must be right before anybody can sign in."""


class SignInPanel:
    """The buttons and what stands below them; `settings_of` reads the form, `changed` hears of a sign-in or its end."""

    def __init__(
        self,
        rows: Rows,
        fields: Mapping[str, ipywidgets.Widget],
        settings_of: Callable[[dict[str, Any]], tuple[Settings, list[Problem]]],
        changed: Callable[[], None],
    ) -> None:
        self._rows = rows
        self._settings_of = settings_of
        self._changed = changed
        self.report = light(ipywidgets.HTML, _dom_classes=["dm-report", "dm-if-token"])
        self.actions = Actions(self._buttons(None), self._pressed, fields=fields, classes=["dm-sign-in", "dm-if-token"])
        self._work = Work(self.actions, self._show_failure)

    @staticmethod
    def is_offered(values: Mapping[str, Any]) -> bool:
        """Say whether one can sign in with Microsoft where these values lead."""
        if values["protocol"] == "http":
            return bool(values["api"] == "graph")
        preset = presets.by_host(trimmed(values["host"]))
        return signs_in_with_microsoft(preset) or bool(trimmed(values["client_id"]))

    def show(self, kept: Where | None, username: str) -> None:
        """Bring the buttons in line with the account."""
        buttons = [list(button) for button in self._buttons(kept)]
        if buttons != self.actions.actions:
            self.actions.actions = buttons
        places = {
            "keyring": _("signed in as {username}; kept in the system's keyring"),
            "session": _("signed in as {username}; kept until this kernel stops"),
            "environment": "",
        }
        reason = _("the way that Microsoft wants: passwords for sending end with the year 2026 in most organisations")
        said = markup.found(places[kept].format(username=username)) if kept else escape(reason)
        self._rows["sign_in"].hint = f'<span class="dm-if-token">{said}</span>'

    def _buttons(self, kept: Where | None) -> list[tuple[str, str]]:
        if kept:
            return [(SIGN_IN, _("Sign in again")), (SIGN_OUT, _("Sign out"))]
        return [(SIGN_IN, _("Sign in with Microsoft"))]

    def _pressed(self, action: str, values: dict[str, Any], _secret: Secret | None) -> None:
        if action == "stop":
            self._work.stop()
        elif action == SIGN_IN:
            self._work.start(lambda: self._sign_in(values))
        elif action == SIGN_OUT:
            self._work.start(lambda: self._sign_out(values))

    def _sign_in(self, values: dict[str, Any]) -> None:
        self.report.value = ""
        settings, problems = self._settings_of(values)
        if not settings.signs_in_with_token:
            return  # the choice has changed since the press
        needed = [problem for problem in problems if problem.field in _NEEDED]
        for problem in needed:
            self._rows[problem.field].show_problem(problem.message)
        if needed:
            self.actions.focus_on(needed[0].field)
            return
        from docmail.oauth.microsoft import DeviceSignIn

        self.report.value = markup.paragraph(_("Connecting…"))
        sign_in = DeviceSignIn(settings)
        code = sign_in.begin()
        self.report.value = _shown(code)
        grant = sign_in.wait(code, lambda: self._work.stopped)
        where = oauth.keep(settings, grant)
        kept = {
            "keyring": _("The sign-in is in the system's keyring."),
            "session": _(
                "The sign-in lasts until this kernel stops: there is no keyring here, or this is a rehearsal."
            ),
        }[where]
        self._rows["sign_in"].clear_problem()
        self.report.value = markup.box(
            "good",
            markup.good(_("Signed in as {username}.").format(username=grant.username or settings.account.username)),
            markup.paragraph(f"{kept} {_('Press Test email settings, then Update.')}"),
        )
        self._changed()

    def _sign_out(self, values: dict[str, Any]) -> None:
        settings, _problems = self._settings_of(values)
        oauth.sign_out(settings)
        said = _("Signed out: the sign-in is forgotten here. To end it everywhere, open the page of your account.")
        link = '<p><a href="https://myaccount.microsoft.com/" target="_blank" rel="noopener noreferrer">{}</a></p>'
        self.report.value = markup.box(
            "mind", markup.paragraph(said), link.format(escape(_("Your account at Microsoft")))
        )
        self._changed()

    def _show_failure(self, exc: Exception) -> None:
        if self._work.stopped:
            self.report.value = markup.box("mind", markup.paragraph(_("Stopped; nobody was signed in.")))
            return
        self.report.value = markup.failure(exc)
        if isinstance(exc, DocmailError) and exc.field and (row := self._rows.get(exc.field)):
            row.show_problem(exc.hint or exc.message if isinstance(exc, SendError) else exc.message)


def signs_in_with_microsoft(preset: presets.Preset | None) -> bool:
    """Say whether a provider is Microsoft."""
    return preset is not None and preset.id in {"microsoft-365", "outlook"}


def sign_in_of(preset: presets.Preset | None) -> SignIn:
    """Return how one signs in at a provider, unless somebody decides otherwise."""
    return SignIn.MICROSOFT if signs_in_with_microsoft(preset) else SignIn.PASSWORD


def _shown(code: Code) -> str:
    """Return the code and what to do with it; `controls.js` copies what stands in `dm-copied`."""
    link = f'<a href="{escape(code.url)}" target="_blank" rel="noopener noreferrer">{escape(code.url)}</a>'
    first = escape(_("Open this page in any browser, on any device:"))
    then = escape(_("Enter this code there, and sign in with your account:"))
    copy = f'<button type="button" class="dm-copy jupyter-button widget-button" data-copied="{escape(_("Copied"))}">'
    waits = _("docmail waits here, for up to {minutes:.0f} minutes. Do not hand the code to anybody.")
    return markup.box(
        "mind",
        f"<ol><li>{first} {link}</li>"
        f'<li>{then}<div class="dm-code"><b class="dm-copied">{escape(code.code)}</b> '
        f"{copy}{escape(_('Copy'))}</button></div></li></ol>",
        markup.paragraph(waits.format(minutes=code.seconds / 60)),
    )
