"""Signing in with Microsoft or Google in the settings form: a link, and a wait in the background that can be stopped.

At Microsoft one enters a code behind the link. From Google the browser comes back to this computer; if it runs on
another one, its last address is pasted.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from docmail import credentials, oauth, presets
from docmail.addresses import trimmed
from docmail.errors import DocmailError, Field, SendError
from docmail.language import _
from docmail.oauth import google
from docmail.presets import services
from docmail.secret import Secret
from docmail.settings import SignIn
from docmail.widgets.parts import markup
from docmail.widgets.parts.background import Work
from docmail.widgets.parts.controls import Actions
from docmail.widgets.parts.form_rows import Html, light
from docmail.widgets.parts.markup import anchor, box, copy_button, paragraph, tag
from docmail.widgets.settings import report
from docmail.widgets.settings.applications import Application, known_application
from docmail.widgets.settings.field_names import FormField
from docmail.widgets.settings.letter import letter_to_administrator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import ipywidgets

    from docmail.credentials import Where
    from docmail.errors import Problem
    from docmail.oauth import Code, Grant
    from docmail.settings import Settings
    from docmail.widgets.parts.form_rows import Rows
    from docmail.widgets.settings.password_row import Places

SIGN_IN, SIGN_OUT, PASTE = "sign-in", "sign-out", "paste"

_NEEDED = (Field.URL, FormField.API_URL, Field.HOST, Field.USERNAME, Field.CLIENT_ID, Field.TENANT)
"""What must be right before anybody can sign in."""


class SignInPanel:
    """The buttons and what stands below them.

    `settings_of` reads the form; `changed` is called after a sign-in or its end.
    `show_state(name, on)` sets which parts of the form are shown.
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
        self.applications: dict[tuple[SignIn, str], Application | None] = {}  # asked for once, not at every keystroke
        self._cards = markup.NOTHING
        self._settings_of = settings_of
        self._changed = changed
        self.report = light(Html, _dom_classes=["dm-report", "dm-if-token"])
        self.actions = Actions(
            self._buttons(None, SignIn.MICROSOFT),
            self._pressed,
            fields=fields,
            carries=Field.CLIENT_SECRET,
            classes=["dm-sign-in", "dm-if-token"],
            within=True,
        )
        self.paste = Actions(
            [(PASTE, _("Use this address"))],
            self._pasted,
            carries=FormField.PASTED,
            classes=["dm-sign-in", "dm-if-by-google", "dm-if-pasting"],
            within=True,
        )
        self._work = Work(self.actions, self._show_failure)

    def stand_in(self, controls: list[ipywidgets.Widget]) -> None:
        """Take the places among the form's fields: buttons and report, and below it the field for an address."""
        at = controls.index(self._rows[FormField.PASTED].control)
        controls[at : at + 1] = [self.actions, self.report, controls[at], self.paste]

    def offer(self, values: Mapping[str, Any]) -> None:
        """Show with whom one can sign in where these values lead, and take back a choice that leads nowhere."""
        way = _offered(values)
        self._show_state("microsoft", way is SignIn.MICROSOFT)
        self._show_state("google", way is SignIn.GOOGLE)
        self._show_state("sign-in", way is not None)
        if values[Field.SIGN_IN] not in {way, SignIn.PASSWORD}:
            self._fields[Field.SIGN_IN].value = SignIn.PASSWORD
        known = self._application(values[Field.SIGN_IN], values[Field.USERNAME])
        applied = known is not None and known.client_id == trimmed(values[Field.CLIENT_ID])
        self._show_state("applied", applied)
        self._show_cards(values, way, applied=applied)

    def other_way(self, values: Mapping[str, Any]) -> Markup:
        """Return what leads from a password to signing in with Google, where both are possible."""
        if _offered(values) is not SignIn.GOOGLE or values[Field.PROTOCOL] == "http":
            return markup.NOTHING
        then = Field.SIGN_IN if self._application(SignIn.GOOGLE, values[Field.USERNAME]) else Field.CLIENT_ID
        return self._setter(SignIn.GOOGLE, _("Sign in with Google instead"), then, class_=markup.LINK)

    def _application(self, way: SignIn, address: str) -> Application | None:
        asked = way, address.rpartition("@")[2]
        if asked not in self.applications:
            self.applications[asked] = known_application(way, address)
        return self.applications[asked]

    def _setter(self, way: SignIn, label: str, then: str, **attributes: object) -> Markup:
        place = [value for _label, value in self._fields[Field.SIGN_IN].options].index(way)
        return markup.setter(Field.SIGN_IN, place, label, then=then, **attributes)

    def _show_cards(self, values: Mapping[str, Any], way: SignIn | None, *, applied: bool) -> None:
        """Ask how one signs in where both ways are possible and each needs something of its own."""
        preset = presets.by_host(trimmed(values[Field.HOST])) if values[Field.PROTOCOL] == "smtp" else None
        asks = way is SignIn.MICROSOFT and preset is not None and bool(preset.password_note) and not applied
        self._show_state("cards", asks)
        if not asks or preset is None:
            self._rows[Field.SIGN_IN].above = markup.NOTHING
            return
        ways = (
            (
                SignIn.MICROSOFT,
                Field.CLIENT_ID,
                _("My administrator gave me an application ID"),
                _("you sign in at Microsoft with a code, and no password is stored"),
            ),
            (SignIn.PASSWORD, Field.PASSWORD, _("I have only my password"), _(preset.password_note)),
        )
        cards = (
            self._setter(each, Markup("<b>{}</b><span>{}</span>").format(title, about), then, class_="dm-choice")
            for each, then, title, about in ways
        )
        request = _request(trimmed(values[Field.USERNAME]))
        self._rows[Field.SIGN_IN].above = markup.choices(_("Sign in with"), *cards) + markup.folded(
            _("What to ask my administrator"), request
        )

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
            else reasons.get(way, "")
        )
        self._show_state("signed-in", bool(kept))
        self._rows[Field.SIGN_IN].hint = tag("span", said, class_="dm-if-token") if kept or said else ""

    def _show_application(self, settings: Settings, places: Places) -> None:
        """Call the fields of the application what the provider calls them."""
        ours = settings.server.sign_in is SignIn.GOOGLE
        row = self._rows[Field.CLIENT_ID]
        row.control.description = _("Client ID") if ours else _("Application ID")
        example = "000000000000-abcdefgh.apps.googleusercontent.com"
        row.control.placeholder = example if ours else "00000000-0000-0000-0000-000000000000"
        given = Field.CLIENT_ID in settings.fixed and credentials.from_variable(settings, "DOCMAIL_CLIENT_SECRET")
        known = ours and settings.server.client_id and (given or places.of(google.application(settings)))
        self._show_state("secret-kept", bool(known))
        organisation = trimmed(settings.server.tenant)
        said = _("of the application that was registered for docmail; the guide shows how")
        if organisation and not ours:
            said = _("of the application that {organisation} has registered for docmail").format(
                organisation=organisation
            )
        back = self._setter(SignIn.PASSWORD, _("Use an app password instead"), Field.PASSWORD, class_=markup.LINK)
        row.hint = Markup("{} {}").format(said, tag("span", back, class_="dm-if-short")) if ours else said
        secret = self._rows[Field.CLIENT_SECRET]
        secret.control.placeholder = _("•••••••• stored; empty keeps it") if known else "GOCSPX-"
        secret.hint = _("it stands beside the client ID; kept when you sign in")

    def _buttons(self, kept: Where | None, way: SignIn) -> list[tuple[str, str]]:
        if kept:
            return [(SIGN_IN, _("Sign in again")), (SIGN_OUT, _("Sign out"))]
        return [(SIGN_IN, _("Sign in with Google") if way is SignIn.GOOGLE else _("Sign in with Microsoft"))]

    def _pressed(self, action: str, values: dict[str, Any], secret: Secret | None) -> None:
        if action == SIGN_IN:
            self._work.start(lambda: self._sign_in(values, secret))
        elif action == SIGN_OUT:
            self._work.start(lambda: self._sign_out(values))

    def _sign_in(self, values: dict[str, Any], secret: Secret | None) -> None:
        self.report.value = markup.NOTHING
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
        kept = report.signed_in(oauth.keep(settings, grant), settings)
        for name in (Field.SIGN_IN, Field.CLIENT_ID, Field.CLIENT_SECRET, Field.USERNAME):
            self._rows[name].clear_problem()
        self.report.value = box(
            "good",
            markup.good(_("Signed in as {username}.").format(username=grant.username or settings.account.username)),
            kept,
            paragraph(_("Press Test email settings, then Update.")),
        )
        self._changed()

    def _with_code(self, settings: Settings) -> Grant:
        from docmail.oauth import DeviceSignIn

        self.report.value = paragraph(_("Connecting…"))
        sign_in = DeviceSignIn(settings)
        self._work.hold(sign_in.client)
        code = sign_in.begin()
        self.report.value = _shown(code)
        return sign_in.wait(code, lambda: self._work.stopped)

    def _in_browser(self, settings: Settings, secret: Secret | None) -> Grant:
        pasted = self._rows[FormField.PASTED]
        if secret:
            credentials.set(google.application(settings), Secret(trimmed(secret.reveal())))
            self._changed()
        with closing(google.BrowserSignIn(settings)) as browser:
            self._rows[Field.CLIENT_SECRET].control.clear()
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
        browser, row = self._browser, self._rows[FormField.PASTED]
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
                _("Signed out: the sign-in is forgotten here, but Google was not notified. End it there yourself."),
                third,
            ),
        }[oauth.sign_out(settings)]
        self.report.value = box("mind", paragraph(said), paragraph(anchor(*page)) if page else "")
        self._changed()

    def _show_failure(self, exc: Exception) -> None:
        if self._work.stopped:
            self.report.value = markup.note(_("Stopped; nobody was signed in."))
            return
        self.report.value = markup.failure(exc)
        if isinstance(exc, DocmailError) and exc.field and (row := self._rows.get(exc.field)):
            row.show_problem(exc.hint or exc.message if isinstance(exc, SendError) else exc.message)


def _request(address: str) -> Markup:
    """Return the letter to the administrator, with a button that copies it."""
    letter = letter_to_administrator(address if "@" in address else "anna@example.com")
    text = tag("pre", letter, class_="dm-said dm-copied", tabindex=0, role="group", aria_label=_("Letter"))
    return tag("div", text + copy_button(_("Copy"), _("Selected: press Ctrl+C")), class_="dm-request")


def _offered(values: Mapping[str, Any]) -> SignIn | None:
    """Return with whom one can sign in where these values lead."""
    http = values[Field.PROTOCOL] == "http"
    known = services.by_api(values[FormField.API]) if http else presets.by_host(trimmed(values[Field.HOST]))
    way = SignIn(known.sign_in) if known else SignIn.PASSWORD
    client_id = trimmed(values[Field.CLIENT_ID])
    if (
        not http and way is SignIn.PASSWORD and client_id
    ):  # a server of one's own that trusts one of them; its ID says which
        return SignIn.GOOGLE if client_id.endswith(".googleusercontent.com") else SignIn.MICROSOFT
    return None if way is SignIn.PASSWORD else way


def _link(url: str) -> Markup:
    """Return the link to Google, and what to do behind it."""
    steps = (
        anchor(url, _("Open Google's page")),
        _("Sign in with your account there, and allow docmail to send mail."),
        _(
            "If the browser then says that it cannot open the page 127.0.0.1, it runs on another computer than this "
            "notebook: copy that page's address from the address bar and paste it below."
        ),
    )
    waits = _("docmail waits here, for up to {minutes:.0f} minutes.")
    return box("mind", _steps(steps), paragraph(waits.format(minutes=google.SECONDS / 60)))


def _shown(code: Code) -> Markup:
    """Return the code and what to do with it."""
    first = Markup("{} {}").format(_("Open this page in any browser, on any device:"), anchor(code.url))
    then = Markup('{}<div class="dm-code"><b class="dm-copied">{}</b> {}</div>').format(
        _("Enter this code there, and sign in with your account:"), code.code, copy_button(_("Copy"))
    )
    waits = _("docmail waits here, for up to {minutes:.0f} minutes. Do not hand the code to anybody.")
    return box("mind", _steps((first, then)), paragraph(waits.format(minutes=code.seconds / 60)))


def _steps(steps: Iterable[str]) -> Markup:
    return tag("ol", markup.joined(tag("li", step) for step in steps))
