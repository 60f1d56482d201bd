"""Signing in with Microsoft or Google in the settings form: a link, and a wait in the background that can be stopped.

At Microsoft one enters a code behind the link. From Google the browser comes back to this computer; if it runs on
another one, its last address is pasted.
"""

from __future__ import annotations

from contextlib import closing
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from docmail import credentials, oauth, presets
from docmail.addresses import trimmed
from docmail.errors import DocmailError, SendError
from docmail.language import _
from docmail.oauth import google
from docmail.presets import services
from docmail.secret import Secret
from docmail.settings import SignIn
from docmail.widgets.parts import markup
from docmail.widgets.parts.background import Work
from docmail.widgets.parts.controls import Actions
from docmail.widgets.parts.form_rows import light
from docmail.widgets.settings import report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from docmail.credentials import Where
    from docmail.errors import Problem
    from docmail.oauth import Code, Grant
    from docmail.settings import Settings
    from docmail.widgets.parts.form_rows import Rows
    from docmail.widgets.settings.password_row import Places

SIGN_IN, SIGN_OUT, PASTE = "sign-in", "sign-out", "paste"

_NEEDED = ("url", "api_url", "host", "username", "client_id", "tenant")
"""What must be right before anybody can sign in."""


class SignInPanel:
    """The buttons and what stands below them; `settings_of` reads the form, `changed` hears of a sign-in or its end.

    `show_state(name, on)` tells the form which of its parts to show.
    """

    def __init__(
        self,
        rows: Rows,
        fields: Mapping[str, ipywidgets.Widget],
        settings_of: Callable[[dict[str, Any]], tuple[Settings, list[Problem]]],
        changed: Callable[[], None],
        show_state: Callable[[str, bool], None],
    ) -> None:
        self._rows = rows
        self._fields = fields
        self._show_state = show_state
        self._browser: google.BrowserSignIn | None = None
        self._settings_of = settings_of
        self._changed = changed
        self.report = light(ipywidgets.HTML, _dom_classes=["dm-report", "dm-if-token"])
        self.actions = Actions(
            self._buttons(None, SignIn.MICROSOFT),
            self._pressed,
            fields=fields,
            carries="client_secret",
            classes=["dm-sign-in", "dm-if-token"],
        )
        self.paste = Actions(
            [(PASTE, _("Use this address"))],
            self._pasted,
            carries="pasted",
            classes=["dm-sign-in", "dm-if-by-google", "dm-if-pasting"],
        )
        self._work = Work(self.actions, self._show_failure)

    def stand_in(self, controls: list[ipywidgets.Widget]) -> None:
        """Take the places among the form's fields: buttons and report, and below it the field for an address."""
        at = controls.index(self._rows["pasted"].control)
        controls[at : at + 1] = [self.actions, self.report, controls[at], self.paste]

    def offer(self, values: Mapping[str, Any]) -> None:
        """Show with whom one can sign in where these values lead, and take back a choice that leads nowhere."""
        way = _offered(values)
        self._show_state("microsoft", way is SignIn.MICROSOFT)
        self._show_state("google", way is SignIn.GOOGLE)
        self._show_state("sign-in", way is not None)
        if values["sign_in"] not in {way, SignIn.PASSWORD}:
            self._fields["sign_in"].value = SignIn.PASSWORD

    def show(self, kept: Where | None, settings: Settings, places: Places) -> None:
        """Bring the buttons and the fields of the application in line with the account."""
        way, username = settings.server.sign_in, settings.account.username
        buttons = [list(button) for button in self._buttons(kept, way)]
        if buttons != self.actions.actions:
            self.actions.actions = buttons
        self._show_application(settings, places)
        kept_in = {
            "keyring": _("signed in as {username}; kept in {keyring}"),
            "session": _("signed in as {username}; kept until this kernel stops"),
            "environment": "",
        }
        reasons = {
            SignIn.MICROSOFT: _(
                "the way that Microsoft wants: passwords for sending end with the year 2026 in most organisations"
            ),
            SignIn.GOOGLE: _(
                "no password is stored, and you can end it at any time; an app password is quicker to set up, where "
                "Google lets you have one"
            ),
        }
        said = (
            markup.found(kept_in[kept].format(username=username, keyring=places.keyring))
            if kept
            else escape(reasons.get(way, ""))
        )
        self._rows["sign_in"].hint = f'<span class="dm-if-token">{said}</span>'

    def _show_application(self, settings: Settings, places: Places) -> None:
        """Call the fields of the application what the provider calls them."""
        ours = settings.server.sign_in is SignIn.GOOGLE
        row = self._rows["client_id"]
        row.control.description = _("Client ID") if ours else _("Application ID")
        example = "000000000000-abcdefgh.apps.googleusercontent.com"
        row.control.placeholder = example if ours else "00000000-0000-0000-0000-000000000000"
        known = ours and settings.server.client_id and places.of(google.application(settings))
        secret = self._rows["client_secret"]
        secret.control.placeholder = _("•••••••• stored; empty keeps it") if known else "GOCSPX-"
        secret.hint = escape(_("it stands beside the client ID; kept when you sign in"))

    def _buttons(self, kept: Where | None, way: SignIn) -> list[tuple[str, str]]:
        if kept:
            return [(SIGN_IN, _("Sign in again")), (SIGN_OUT, _("Sign out"))]
        return [(SIGN_IN, _("Sign in with Google") if way is SignIn.GOOGLE else _("Sign in with Microsoft"))]

    def _pressed(self, action: str, values: dict[str, Any], secret: Secret | None) -> None:
        if action == "stop":
            self._work.stop()
        elif action == SIGN_IN:
            self._work.start(lambda: self._sign_in(values, secret))
        elif action == SIGN_OUT:
            self._work.start(lambda: self._sign_out(values))

    def _sign_in(self, values: dict[str, Any], secret: Secret | None) -> None:
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
        if settings.server.sign_in is SignIn.GOOGLE:
            grant = self._in_browser(settings, secret)
        else:
            grant = self._with_code(settings)
        kept = report.signed_in(oauth.keep(settings, grant))
        for name in ("sign_in", "client_id", "client_secret", "username"):
            self._rows[name].clear_problem()
        self.report.value = markup.box(
            "good",
            markup.good(_("Signed in as {username}.").format(username=grant.username or settings.account.username)),
            kept,
            markup.paragraph(_("Press Test email settings, then Update.")),
        )
        self._changed()

    def _with_code(self, settings: Settings) -> Grant:
        from docmail.oauth import DeviceSignIn

        self.report.value = markup.paragraph(_("Connecting…"))
        sign_in = DeviceSignIn(settings)
        self._work.hold(sign_in.client)
        code = sign_in.begin()
        self.report.value = _shown(code)
        return sign_in.wait(code, lambda: self._work.stopped)

    def _in_browser(self, settings: Settings, secret: Secret | None) -> Grant:
        pasted = self._rows["pasted"]
        if secret:
            credentials.set(google.application(settings), Secret(trimmed(secret.reveal())))
            self._changed()
        with closing(google.BrowserSignIn(settings)) as browser:
            self._rows["client_secret"].control.clear()
            self._work.hold(browser.client)
            self._browser = browser
            self.report.value = _link(browser.begin())
            self._show_state("pasting", True)  # noqa: FBT003 - a switch
            try:
                return browser.wait(lambda: self._work.stopped)
            finally:
                self._browser = None
                self._show_state("pasting", False)  # noqa: FBT003 - as above
                pasted.clear_problem()
                pasted.control.clear()

    def _pasted(self, _action: str, _values: dict[str, Any], secret: Secret | None) -> None:
        browser, row = self._browser, self._rows["pasted"]
        if browser is None:
            return  # it is over
        try:
            browser.take(secret or Secret(""))
        except DocmailError as exc:
            row.show_problem(exc.hint)
        else:
            row.clear_problem()

    def _sign_out(self, values: dict[str, Any]) -> None:
        settings, _problems = self._settings_of(values)
        microsoft = "https://myaccount.microsoft.com/", _("Your account at Microsoft")
        third = "https://myaccount.google.com/connections", _("What may use your account at Google")
        said, page = {
            "everywhere": (_("Signed out, here and at Google: the sign-in is worth nothing any more."), None),
            "here": (
                _("Signed out: the sign-in is forgotten here. To end it everywhere, open the page of your account."),
                microsoft,
            ),
            "here, by a failure": (
                _("Signed out: the sign-in is forgotten here, but Google could not be told. End it there yourself."),
                third,
            ),
        }[oauth.sign_out(settings)]
        self.report.value = markup.box("mind", markup.paragraph(said), f"<p>{_anchor(*page)}</p>" if page else "")
        self._changed()

    def _show_failure(self, exc: Exception) -> None:
        if self._work.stopped:
            self.report.value = markup.box("mind", markup.paragraph(_("Stopped; nobody was signed in.")))
            return
        self.report.value = markup.failure(exc)
        if isinstance(exc, DocmailError) and exc.field and (row := self._rows.get(exc.field)):
            row.show_problem(exc.hint or exc.message if isinstance(exc, SendError) else exc.message)


def _offered(values: Mapping[str, Any]) -> SignIn | None:
    """Return with whom one can sign in where these values lead."""
    http = values["protocol"] == "http"
    known = services.by_api(values["api"]) if http else presets.by_host(trimmed(values["host"]))
    way = SignIn(known.sign_in) if known else SignIn.PASSWORD
    client_id = trimmed(values["client_id"])
    if (
        not http and way is SignIn.PASSWORD and client_id
    ):  # a server of one's own that trusts one of them; its ID tells which
        return SignIn.GOOGLE if client_id.endswith(".googleusercontent.com") else SignIn.MICROSOFT
    return None if way is SignIn.PASSWORD else way


def _anchor(url: str, text: str = "") -> str:
    return f'<a href="{escape(url)}" target="_blank" rel="noopener noreferrer">{escape(text or url)}</a>'


def _link(url: str) -> str:
    """Return the link to Google, and what to do behind it."""
    first = _anchor(url, _("Open Google's page"))
    then = escape(_("Sign in with your account there, and allow docmail to send mail."))
    last = escape(
        _(
            "If the browser then says that it cannot open the page 127.0.0.1, it runs on another computer than this "
            "notebook: copy that page's address from the address bar and paste it below."
        )
    )
    return markup.box(
        "mind",
        f"<ol><li>{first}</li><li>{then}</li><li>{last}</li></ol>",
        markup.paragraph(_("docmail waits here, for up to {minutes:.0f} minutes.").format(minutes=google.SECONDS / 60)),
    )


def _shown(code: Code) -> str:
    """Return the code and what to do with it; `controls.js` copies what stands in `dm-copied`."""
    link = _anchor(code.url)
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
