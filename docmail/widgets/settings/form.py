"""The settings screen: fields, a test email with the values as they stand, and Update, in a cell of a notebook."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from weakref import WeakSet

import ipywidgets

from docmail import credentials, presets
from docmail import home as homes
from docmail.addresses import trimmed
from docmail.errors import CredentialError, DocmailError, Field, Kind, Phase, Problem, SettingsError
from docmail.language import _, chosen, language
from docmail.look import Look
from docmail.settings import HttpServer, Security, Settings, SmtpServer, profile_name, profiles, read_profiles
from docmail.widgets.parts import markup, static_fallback
from docmail.widgets.parts.background import Work
from docmail.widgets.parts.controls import Actions, Password
from docmail.widgets.parts.form_rows import Html, light, shared
from docmail.widgets.parts.kernel_gone import Lifeline
from docmail.widgets.settings import fields, fixed_rows, report
from docmail.widgets.settings.field_names import ADVANCED, AFTER_SENDING, FormField
from docmail.widgets.settings.fixed_rows import FixedRows
from docmail.widgets.settings.look_panel import LookPanel
from docmail.widgets.settings.mailbox_panel import TRUST_MAILBOX, MailboxPanel
from docmail.widgets.settings.password_row import Places, elsewhere, show_secret
from docmail.widgets.settings.provider_help import ProviderHelp
from docmail.widgets.settings.sign_in import SignInPanel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from markupsafe import Markup

    from docmail.credentials import Where
    from docmail.diagnosis import Check, Diagnosis
    from docmail.secret import Secret
    from docmail.widgets.settings.report import Result

__all__ = ["SettingsForm"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

TEST, UPDATE, OTHER_SERVER, TRUST = "test", "update", "other-server", "trust"

_NOTHING = object()

observers: WeakSet[Any] = WeakSet()
"""What is shown in this kernel and depends on saved settings; `settings_saved(settings, profile)` is called on each."""


def _speaking(method: Callable[_P, _T]) -> Callable[_P, _T]:
    """Let a method of the form speak the form's language, from whatever thread it is called."""

    @wraps(method)
    def speak(*args: _P.args, **options: _P.kwargs) -> _T:
        form: Any = args[0]
        with language(form.language):
            return method(*args, **options)

    return speak


class SettingsForm(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets is not typed
    """The email settings of a profile (None: the selected one), to fill in, test and save.

    Make it the last expression of a cell. `language` is "en" or "af"; None follows the environment (LANGUAGE, LANG).
    While a sandbox is open, the form fills in the settings of the rehearsal; with `own` it is still the user's own.
    `test()` and `save()` do what the buttons do.

    >>> docmail.SettingsForm("work")
    <SettingsForm profile=work, not saved yet>
    """

    children: tuple[ipywidgets.Widget, ...]

    def __init__(self, profile: str | None = None, *, language: str | None = None, own: bool = False) -> None:
        self.language = language or chosen()
        self._profile = profile or os.environ.get("DOCMAIL_PROFILE") or "default"
        self._home = homes.user_home() if own else homes.current()
        self._saved: Settings | None = None
        self._as_shown: Settings | None = None
        self._submitted: dict[str, Any] = {}
        self._at_press: dict[str, Any] = {}
        self._places = Places()
        self._look: Look | None = None
        self._look_panel: LookPanel | None = None
        self._untrusted = ""
        self._judged: set[str] = set()
        self._replacing = ""
        self._result = report.untested(saved=False)
        self._tested = self._shows_result = self._secret_changed = False
        self._suggested: SmtpServer | None = None
        self._states: set[str] = set()
        with homes.outside_rehearsals() if own else nullcontext():
            self._build()

    @_speaking
    def _build(self) -> None:
        self.rows = fields.rows(self._profile)
        self.fields = fields.widgets_of(self.rows)
        self.password: Password = self.rows[Field.PASSWORD].control
        self.help = ProviderHelp(self.rows, self.fields, self._show_state)
        self.sign_in = SignInPanel(self.rows, self.fields, self._settings_of, self._signed_in, self._show_state)
        self.mailbox = MailboxPanel(
            self.rows,
            self.fields,
            self._settings_of,
            show_problems=self._show_beside,
            show_state=self._show_state,
            unfold=self._unfold,
        )
        self.fixed = FixedRows(self.rows, self.fields, self.help.take_over, self._show_state)
        self._heading = light(Html)
        self.report = light(Html, _dom_classes=["dm-report", "dm-details"])
        unreadable = self._load()
        self._shown = self._values()
        self._states |= fields.states(self._values())
        self.actions = Actions(
            self._buttons(),
            self._pressed,
            fields=self.fields,
            rules=fields.RULES,
            follow=fields.FOLLOW,
            rows=self.rows,
            carries=Field.PASSWORD,
            carries_too=[Field.MAILBOX_PASSWORD],
            primary=TEST,
        )
        self.actions.on_left = lambda name, values: self._follow(self._left, name, values)
        self.actions.on_retyped = lambda name: self._follow(self._retyped, name)
        self._work = Work(self.actions, self._show_failure)
        above, below = self.rows.controls[:2], self.rows.controls[2:]  # the address and the Provider menu
        self.sign_in.stand_in(below)
        self.mailbox.stand_in(below)
        super().__init__(
            Lifeline().around(
                [
                    self._heading,
                    *above,
                    self.help.finder,
                    *below,
                    self.help.guide,
                    self.actions,
                    self.report,
                ]
            ),
            layout=shared(ipywidgets.Layout),
            _dom_classes=["docmail-form", *(f"dm-{state}" for state in sorted(self._states))],
        )
        with self.actions.hold_sync():
            self._refresh()
            if unreadable is not None:
                self._show_failure(unreadable)
            else:
                self._show_untested()
        for name, field in self.fields.items():
            field.observe(lambda _change, name=name: self._follow(self._edited, name), "value")
        observers.add(self)

    def _buttons(self) -> list[tuple[str, str]]:
        buttons = [(TEST, _("Test email settings")), (UPDATE, _("Update"))]
        if (suggested := self._suggested) is not None:
            port, security = suggested.port, suggested.effective_security
            if port != fields.port_of(self._values()):
                words = _("Use port {port}").format(port=port)
            elif security is Security.NONE:
                words = _("Use no encryption")
            else:
                words = _("Use {security}").format(security=security.upper())
            buttons.append((OTHER_SERVER, words))
        return buttons

    def _offer_server(self, suggested: SmtpServer | None) -> None:
        """Offer the port and the security with which the last test found an answer; None takes the offer back."""
        if Field.PORT in self.fixed:  # it is not this form's user who decides about it
            suggested = None
        if suggested != self._suggested:
            self._suggested = suggested
            self.actions.actions = [list(button) for button in self._buttons()]

    # --- for programs ---

    @_speaking
    def fill(self, **values: Any) -> None:
        """Fill in the fields that `values` names as `Settings` does (host, port, username, sender, ...); no password.

        A name that is no field, or that of the password, is a `TypeError`.

        >>> form = docmail.SettingsForm("work")
        >>> form.fill(host="mail.example.com", port=465, username="accounts@example.com")
        """
        changes = fields.filled(values, self._values())
        with self.help.standing_back(when=Field.HOST in changes):
            if Field.EMAIL_ADDRESS in changes:  # what is given explicitly has the last word
                self.fields[Field.EMAIL_ADDRESS].value = changes.pop(Field.EMAIL_ADDRESS)
            for name, value in changes.items():
                self.fields[name].value = value

    @_speaking
    def test(self) -> Diagnosis | None:
        """Send the test email with the values as they stand, showing each step; None if some cannot stay so.

        >>> docmail.SettingsForm().test().ok
        True
        """
        return self._now(lambda: self._test(self._values(), None))

    @_speaking
    def save(self) -> bool:
        """Save the values as they stand; the stored password stays. Return whether they are saved.

        >>> docmail.SettingsForm().save()
        True
        """
        return bool(self._now(lambda: self._save(self._values(), None)))

    @_speaking
    def trust(self) -> None:
        """Fill in the fingerprint of the certificate that the last test met and could not verify; else do nothing.

        >>> docmail.SettingsForm().trust()
        """
        if not self._untrusted:
            return
        self.fields[Field.FINGERPRINT].value = self._untrusted
        self._offer_trust(None)
        self._show(report.trusted())

    def __repr__(self) -> str:
        return f"<SettingsForm profile={self._profile}, {self._state()}>"

    @_speaking
    def _ipython_display_(self) -> None:
        html = report.without_kernel(self._profile, self._saved)
        static_fallback.show({"text/html": html, "text/plain": repr(self)}, self)

    @_speaking
    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = super()._repr_mimebundle_(**options)
        return {**bundle, "text/html": report.without_kernel(self._profile, self._saved)}

    @_speaking
    def _display_(self) -> Any:
        return static_fallback.in_marimo(
            _("Open the form in JupyterLab: what it saves there serves marimo as well."),
            _(
                "Or save the settings here with docmail.Settings(...).save(), and give the password with "
                "docmail.credentials.ask(settings) or in the environment variable DOCMAIL_PASSWORD."
            ),
        )

    # --- the buttons ---

    @_speaking
    def _pressed(self, action: str, values: dict[str, Any], secret: Secret | None) -> None:
        """Do what a button says. The values come with the press: the kernel's own copies may still be older."""
        for_mailbox = values.pop(Field.MAILBOX_PASSWORD, None)
        if action == TEST:
            self._work.start(lambda: self._test(values, secret))
        elif action == UPDATE:
            self._work.start(lambda: self._save(values, secret, for_mailbox))
        elif action == OTHER_SERVER and (suggested := self._suggested) is not None:
            self.fill(port=suggested.port, security=suggested.effective_security)
        elif action == TRUST:
            self.trust()
        elif action == TRUST_MAILBOX:
            self.mailbox.trust()

    def _now(self, do: Callable[[], _T]) -> _T | None:
        results: list[_T] = []
        self._work.run(lambda: results.append(do()))
        return results[0] if results else None

    def _test(self, values: dict[str, Any], secret: Secret | None) -> Diagnosis | None:
        settings = self._checked(values)
        if settings is None:
            return None
        from docmail.diagnosis import diagnose, expected_phases

        met: dict[str, Check] = {}
        expected = expected_phases(settings)

        def show(check: Check) -> None:
            met[check.phase] = check
            self._show_steps(met, expected)

        self._show_steps(met, expected)
        diagnosis = diagnose(settings, secret=secret, on_check=show, hold=self._work.hold)
        self._show_diagnosis(diagnosis, settings, values, typed=secret is not None)
        return diagnosis

    def _save(self, values: dict[str, Any], secret: Secret | None, for_mailbox: Secret | None = None) -> bool:
        settings = self._checked(values)
        if settings is None:
            return False
        profile = trimmed(values[FormField.PROFILE]) or self._profile
        if problem := self._profile_problem(profile):
            self._show_problems([problem])
            return False
        if not settings.account.username or settings.signs_in_with_token:
            secret = None  # an account that does not sign in has no password; what is typed stays on the screen
        if secret:
            secret = credentials.tidied(settings, secret)  # what is no password is refused before anything is saved
        has_own = settings.mailbox is not None and not settings.mailbox_shares_sign_in
        if for_mailbox:
            for_mailbox = credentials.tidied(settings.for_mailbox, for_mailbox) if has_own else None
        settings.save(profile)
        self._profile, self._saved, self._as_shown = profile, settings, settings
        self._shown = self._values()
        if secret:
            credentials.set(settings, secret)
            self.password.clear()
        if for_mailbox:
            credentials.set(settings.for_mailbox, for_mailbox)
            self.mailbox.password.clear()
        failed: list[Markup] = []
        for observer in list(observers):
            try:
                observer.settings_saved(settings, profile)
            except Exception as exc:  # noqa: BLE001 - the settings are saved, whatever else on the screen fails at it
                failed.append(markup.failure(exc))
        self._show_saved(settings, failed)
        self.actions.primary = ""
        return True

    def _profile_problem(self, profile: str) -> Problem | None:
        """Return what is wrong with the place where Update would save, if anything."""
        if self._home.rehearsal and not self._home.settings_file.parent.exists():
            return Problem(FormField.PROFILE, _("The sandbox of this rehearsal is closed: run this cell again."))
        try:
            taken = profile_name(profile) != self._profile and profile in read_profiles(self._home.settings_file)
        except SettingsError as exc:
            return Problem(FormField.PROFILE, str(exc))
        if not taken or profile == self._replacing:
            return None
        self._replacing = profile
        sentence = _("“{name}” is saved already. Press Update again to replace it, or choose another name.")
        return Problem(FormField.PROFILE, sentence.format(name=profile))

    def _checked(self, values: dict[str, Any]) -> Settings | None:
        """Return the settings that the values mean; None, with the problems beside their fields, if there are any."""
        self._submitted, self._at_press = dict(values), self._values()
        self._offer_trust(None)
        self._offer_server(None)
        self._tested = self._shows_result = self._secret_changed = False
        settings, problems = self._settings_of(values)
        with self.actions.hold_sync():
            self.rows.clear_problems()
            if problems:
                self._show_problems(problems)
        return None if problems else settings

    def _settings_of(self, values: dict[str, Any]) -> tuple[Settings, list[Problem]]:
        """Return what the values mean, saved where this form's settings are, and what is wrong with them."""
        settings, problems = fields.settings_of(values, self._home)
        before = self._saved.server if self._saved else None
        if isinstance(before, HttpServer) and isinstance(settings.server, HttpServer) and not settings.server.service:
            # What the form has no field for stays.
            server = replace(settings.server, username=before.username if before.service is None else "")
            settings = replace(settings, server=server)
        if self._look is not None:
            settings = replace(settings, look=self._look)
        if self._look_panel is not None and (wrong := self._look_panel.problem):
            problems = [*problems, Problem(FormField.LOOK, wrong)]
        return settings, problems

    # --- what the form says ---

    def _show(self, result: Result, *, tested: bool = False, goes: bool = False) -> None:
        """Show a result beside the buttons, and its details below; one that `goes` does so at the next change."""
        self._result, self._tested, self._shows_result = result, tested, goes
        self.report.value = result.details
        self.actions.say(markup.standing(result.kind, result.sentence), details=result.label, opened=result.opened)

    def _show_untested(self) -> None:
        saved = self._saved is not None and self._state() == "saved"
        missing = saved and self._saved is not None and bool(self._places.why_gone(self._saved))
        self._show(report.untested(saved=saved, missing=missing))

    def _show_changed(self) -> None:
        """Take back what no longer holds, because something has been edited."""
        if self._shows_result:
            self._show(report.changed(self._result, tested=self._tested))
        elif self._result == report.untested(saved=True):
            self._show(report.untested(saved=False))

    def _show_steps(self, met: dict[str, Check], expected: Sequence[Phase]) -> None:
        pending = next((phase for phase in expected if phase not in met), "")
        self.report.value = markup.checks(met.values())
        passed = [check.phase for check in met.values() if check.ok]
        testing = markup.tag("span", _("Testing …"), class_="dm-if-connected")
        self.actions.say(testing, steps=markup.steps(passed, pending), details=_("details"))

    def _show_problems(self, problems: Sequence[Problem]) -> None:
        self._show_beside(problems)
        self.actions.focus_on(problems[0].field)
        self._show(report.problems(len(problems)))

    def _show_beside(self, problems: Sequence[Problem]) -> None:
        """Show what is wrong beside the fields, none of which stays folded."""
        for problem in problems:
            if row := self.rows.get(problem.field):
                row.show_problem(problem.message)
                self._unfold(problem.field)

    def _show_diagnosis(self, diagnosis: Diagnosis, settings: Settings, values: dict[str, Any], *, typed: bool) -> None:
        failed = diagnosis.failed
        untouched = not (self._typed_since_press(values) or self._secret_changed)
        if failed is None:
            saved = settings == self._as_shown
            self.actions.primary = "" if saved else UPDATE if untouched else TEST
            self._show(report.sent(diagnosis, settings, saved=saved), tested=True, goes=True)
        elif self._work.stopped and failed.kind is Kind.NETWORK:
            self.actions.primary = TEST
            self._show(report.stopped(diagnosis))
        else:
            self.actions.primary = TEST
            self._show_failed(diagnosis, failed, settings, values, typed=typed)
        if not untouched:
            self._show_changed()

    def _show_failed(
        self, diagnosis: Diagnosis, failed: Check, settings: Settings, values: dict[str, Any], *, typed: bool
    ) -> None:
        asks = bool(
            failed.fingerprint
            and values[FormField.SELF_SIGNED]
            and not presets.established(trimmed(values[Field.HOST]))
        )
        hint = failed.hint  # the core's is for people who are not in this form
        if asks:
            hint = report.compare()
        elif failed.phase == Phase.CREDENTIAL and failed.field == Field.PASSWORD and not typed:
            hint = _("Type it into Password.")
        failed = replace(failed, hint=hint)
        diagnosis = replace(diagnosis, checks=(*(check for check in diagnosis.checks if check.ok), failed))
        row = self.rows.get(Field.FINGERPRINT if asks else fields.shown_field(failed.field or "", values))
        self._offer_server(failed.suggestion)
        result = report.failed(diagnosis, failed, settings, asks=asks, beside_field=row is not None)
        self._show(result, tested=True, goes=True)
        if asks:
            self._offer_trust(failed)
        elif row is not None:
            row.show_problem(hint or failed.text)
        if row is not None:
            self._unfold(row.name)
            self.actions.focus_on(row.name)

    def _typed_since_press(self, values: dict[str, Any]) -> bool:
        """Whether somebody has gone on typing; a change that preceded the press may also have arrived late."""
        now = self._values()
        return any(now[name] not in {self._at_press[name], values[name]} for name in now)

    def _unfold(self, name: str) -> None:
        if name in ADVANCED:
            self.fields[FormField.ADVANCED].value = True
        elif name in AFTER_SENDING:
            self.fields[FormField.AFTER_SENDING].value = True
        elif name == FormField.LOOK:
            self.fields[FormField.LOOK].value = True

    def _show_look(self) -> None:
        """Put what decides how mails look below its button, or take it away; few people ever open it."""
        if self._look_panel is None:
            self._look_panel = LookPanel(self._look, self._look_edited)
        panel, button = self._look_panel, self.rows[FormField.LOOK].control
        children = [child for child in self.children if child is not panel]
        if button.value:
            children.insert(children.index(button) + 1, panel)
        self.children = tuple(children)

    @_speaking
    def _look_edited(self, look: Look) -> None:
        """Follow what somebody has decided about the look."""
        had = self._saved is not None and self._saved.look is not None
        self._look = look if look != Look.PLAIN or had else None
        with self.actions.hold_sync():
            self.rows[FormField.LOOK].clear_problem()
            if not self.actions.busy:
                self._show_changed()
                self.actions.primary = TEST
            self._refresh()

    def _offer_trust(self, met: Check | None) -> None:
        """Ask beside its row about the certificate that a test met; None takes the question back."""
        self._untrusted = (met and met.fingerprint) or ""
        self.rows[Field.FINGERPRINT].ask(report.certificate_question(met, TRUST) if met else markup.NOTHING)

    def _show_state(self, name: str, on: bool) -> None:  # noqa: FBT001 - a switch
        if on == (name in self._states):
            return
        (self._states.add if on else self._states.remove)(name)
        if self.comm is not None:
            (self.add_class if on else self.remove_class)(f"dm-{name}")

    def _show_saved(self, settings: Settings, failed: Sequence[Markup]) -> None:
        """Show what Update has brought; `failed` is what went wrong in other views that follow these settings."""
        place: Where | CredentialError | None
        try:
            place = credentials.where(settings)
        except CredentialError as exc:
            place = exc
        if settings.signs_in_with_token and place is None:
            self.rows[Field.SIGN_IN].show_problem(_("nobody has signed in yet"))
        elif settings.account.username and place is None:
            self.rows[Field.PASSWORD].show_problem(_("no password is stored yet"))
        if self.mailbox.lacks_password(settings, self._places):
            self.rows[Field.MAILBOX_PASSWORD].show_problem(_("no password is stored yet"))
        result = report.saved(settings, place, self._profile, rehearsal=self._home.rehearsal)
        if failed:
            result = replace(result, details=markup.joined([result.details, *failed]), label=_("details"), opened=True)
        self._show(result, goes=True)

    @_speaking
    def _show_failure(self, exc: Exception) -> None:
        if isinstance(exc, SettingsError) and exc.problems:
            self._show_problems(exc.problems)
        self._show(report.failure(exc))

    def _refresh(self) -> None:
        """Bring heading, placeholder and the self-signed box in line with the values."""
        settings = self._settings_of(self._values())[0]
        self.fixed.follow(settings)
        values = self._values()
        heading = report.heading(self._profile, self._state(), rehearsal=self._home.rehearsal)
        self._heading.value = heading + fixed_rows.mistake(settings)
        self._refresh_password(values)
        self.mailbox.refresh(values, settings, self._saved, self._places)
        self.help.show_short()
        provider = presets.established(trimmed(values[Field.HOST]))
        box = self.fields[FormField.SELF_SIGNED]
        box.disabled = provider is not None or FormField.SELF_SIGNED in self.fixed
        if provider is not None:
            box.value = False
        self.rows[FormField.SELF_SIGNED].hint = fields.self_signed_help(values[Field.HOST])

    @_speaking
    def settings_saved(self, settings: Settings, profile: str) -> None:
        """Follow the `settings` that a form saved as `profile`, but not where somebody types; for docmail itself."""
        if profile == self._profile and settings.home == self._home:
            before = self._values()
            self._saved = self._as_shown = settings
            if before == self._shown:
                self._show_values(settings)
            self._places.clear()
            if not self._shows_result or self._values() != before:
                self._show_untested()
        self._places.clear()
        self.sign_in.applications.clear()
        self._refresh()

    def _refresh_password(self, values: dict[str, Any]) -> None:
        settings, _problems = self._settings_of(values)
        self.sign_in.offer(values)
        kept: Where | None = None
        # A stored password belongs to one account: with another server or username its placeholder goes away.
        known = self._saved is not None and settings.account == self._saved.account
        given = known or settings.signs_in_with_token or Field.HOST in settings.fixed
        if given and settings.account.username:
            kept = self._places.of(settings)
        missing = "" if kept else self._why_missing(settings, known=known)
        row, other_way = self.rows[Field.PASSWORD], self.sign_in.other_way(values)
        show_secret(row, kept, self.help, self._places.keyring, other_way=other_way, missing=missing)
        self.sign_in.show(kept if settings.signs_in_with_token else None, settings, self._places)
        if missing and settings.signs_in_with_token:
            self.rows[Field.SIGN_IN].hint = markup.warning(missing)

    def _why_missing(self, settings: Settings, *, known: bool) -> str:
        """Return why there is no password, or no sign-in, where one was saved before; empty if none was."""
        saved = self._saved
        if saved is None or not settings.account.username:
            return ""
        if known:
            return self._places.why_gone(saved)
        by_password = not (settings.signs_in_with_token or saved.signs_in_with_token)
        return elsewhere(saved) if by_password and self._places.of(saved) else ""

    def _signed_in(self) -> None:
        """Follow a sign-in, or its end."""
        self._places.clear()
        with language(self.language):
            self._refresh()

    def _state(self) -> str:
        if self._saved is None:
            return "not saved yet"
        return "saved" if self._settings_of(self._values())[0] == self._as_shown else "changed"

    def _values(self) -> dict[str, Any]:
        """Return the values as the kernel knows them."""
        return {name: field.value for name, field in self.fields.items()}

    # --- events ---

    def _load(self) -> DocmailError | None:
        """Fill in what is saved; return why that cannot be read."""
        try:
            if self._profile != homes.SHARED_SANDBOX and self._profile not in profiles():
                return None
            self._saved = Settings.load(self._profile)
        except DocmailError as exc:
            return exc
        self._home = self._saved.home or self._home
        self._show_values(self._saved)
        return None

    def _show_values(self, settings: Settings) -> None:
        with self.help.standing_back():
            for name, value in fields.values_of(settings).items():
                self.fields[name].value = value
        self._look = settings.look
        if self._look_panel is not None:
            self._look_panel.show(settings.look)
        self._shown = self._values()
        # Settings can be written in more ways than one; as the form writes them is what a change is judged by.
        self._as_shown = self._settings_of(self._shown)[0]

    def _follow(self, follow: Callable[..., None], *what: Any) -> None:
        """Do what a change asks for; ipywidgets would write a failure into a log that nobody reads."""
        try:
            follow(*what)
        except Exception as exc:  # noqa: BLE001 - see above
            self._show_failure(exc)

    @_speaking
    def _edited(self, name: str) -> None:
        """Take back what the form said about a field once it has been changed."""
        if name == FormField.LOOK:
            self._show_look()
            return
        # While a cell runs, the change that preceded a press may arrive after it; it is then not a new one.
        late = self.fields[name].value == self._submitted.pop(name, _NOTHING)
        with self.actions.hold_sync():
            self.help.edited(name)
            if not late:
                self.rows[name].clear_problem()
                if name == FormField.PROFILE:
                    self._replacing = ""  # the question was about another name
                if name in {Field.HOST, Field.PORT, FormField.PORT_NUMBER, Field.SECURITY, FormField.SELF_SIGNED}:
                    self._offer_server(None)
                    self._offer_trust(None)
                if name in AFTER_SENDING:
                    self.mailbox.edited(name)
                # What was said of the test email holds also with another mailbox.
                about_sending = name not in {*AFTER_SENDING, FormField.AFTER_SENDING, FormField.ADVANCED}
                if not self.actions.busy and (about_sending or (name in AFTER_SENDING and not self._tested)):
                    self._show_changed()
                    self.actions.primary = TEST
            self._refresh()

    @_speaking
    def _retyped(self, name: str) -> None:
        """Do the same for a password, of whose text nothing comes before a press."""
        with self.actions.hold_sync():
            if row := self.rows.get(name):
                row.clear_problem()
            if name == Field.MAILBOX_PASSWORD:
                self.mailbox.edited(name)
                return
            self._secret_changed = True
            if not self.actions.busy:
                self._show_changed()
                self.actions.primary = TEST

    @_speaking
    def _left(self, name: str, values: dict[str, Any]) -> None:
        """Judge a field as soon as it is left; the others wait for their turn, or for a press."""
        if self.actions.busy or name not in self.rows:
            return
        problems = {problem.field: problem.message for problem in self._settings_of(values)[1]}
        if name == Field.EMAIL_ADDRESS and values[Field.USERNAME] == values[name]:
            problems.setdefault(name, problems.get(Field.USERNAME, ""))
        if message := problems.get(name):
            self._judged.add(name)
            self.rows[name].show_problem(message)
        elif name in self._judged:  # what a test has said stays
            self._judged.discard(name)
            self.rows[name].clear_problem()
