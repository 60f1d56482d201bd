"""The settings screen: fields, a test email with the values as they stand, and Update, in a cell of a notebook."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from weakref import WeakSet

import ipywidgets

from docmail import credentials, presets
from docmail import home as homes
from docmail.addresses import trimmed
from docmail.errors import CredentialError, DocmailError, Kind, Problem, SettingsError
from docmail.language import _, chosen, language
from docmail.settings import HttpServer, Settings, profile_name, profiles, read_profiles
from docmail.widgets.parts import markup, static_fallback
from docmail.widgets.parts.background import Work
from docmail.widgets.parts.controls import Actions, Password
from docmail.widgets.parts.form_rows import light, shared
from docmail.widgets.parts.kernel_gone import Lifeline
from docmail.widgets.settings import fields, report, support_report
from docmail.widgets.settings.password_row import Places, show_secret
from docmail.widgets.settings.provider_help import ProviderHelp
from docmail.widgets.settings.sign_in import SignInPanel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from docmail.credentials import Where
    from docmail.diagnosis import Check, Diagnosis
    from docmail.secret import Secret

__all__ = ["SettingsForm"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

TEST, UPDATE, OTHER_PORT = "test", "update", "other-port"

_NOTHING = object()

watchers: WeakSet[Any] = WeakSet()
"""What is shown in this kernel and depends on saved settings; `settings_saved(settings, profile)` is called on each."""


def _speaking(method: Callable[_P, _T]) -> Callable[_P, _T]:
    """Let a method of the form speak the form's language, whoever calls it in whatever thread."""

    @wraps(method)
    def speak(*args: _P.args, **options: _P.kwargs) -> _T:
        form: Any = args[0]
        with language(form.language):
            return method(*args, **options)

    return speak


class SettingsForm(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets is not typed
    """The email settings of a profile (None: the selected one), to fill in, test and save.

    Make it the last expression of a cell. `language` is "en" or "af"; None follows the environment (LANGUAGE, LANG).
    `test()` and `save()` do what the buttons do.
    """

    def __init__(self, profile: str | None = None, *, language: str | None = None) -> None:
        self.language = language or chosen()
        self._profile = profile or os.environ.get("DOCMAIL_PROFILE") or "default"
        self._home = homes.current()
        self._saved: Settings | None = None
        self._as_shown: Settings | None = None
        self._submitted: dict[str, Any] = {}
        self._at_press: dict[str, Any] = {}
        self._places = Places()
        self._untrusted = ""
        self._judged: set[str] = set()
        self._replacing = ""
        self._succeeded = False
        self._answering: int | None = None
        self._states: set[str] = set()
        self._build()

    @_speaking
    def _build(self) -> None:
        self.rows = fields.rows(self._profile)
        self.fields = fields.widgets_of(self.rows)
        self.password: Password = self.rows["password"].control
        self.help = ProviderHelp(self.rows, self.fields, self._show_state)
        self.sign_in = SignInPanel(self.rows, self.fields, self._settings_of, self._signed_in, self._show_state)
        self._heading = light(ipywidgets.HTML)
        self.report = light(ipywidgets.HTML, _dom_classes=["dm-report"])
        self._trust_button = light(
            ipywidgets.Button, description=_("Trust this certificate"), _dom_classes=["dm-if-untrusted"]
        )
        self._trust_button.on_click(lambda _button: self.trust())
        self._load()
        self._shown = self._values()
        self._states |= fields.states(self._values())
        self.actions = Actions(
            self._buttons(),
            self._pressed,
            fields=self.fields,
            rules=fields.RULES,
            follow=fields.FOLLOW,
            rows=self.rows,
            carries="password",
            primary=TEST,
        )
        self.actions.on_left = lambda name, values: self._follow(self._left, name, values)
        self._work = Work(self.actions, self._show_failure)
        above, below = self.rows.controls[:2], self.rows.controls[2:]
        self.sign_in.stand_in(below)
        super().__init__(
            Lifeline().around(
                [
                    self._heading,
                    *above,
                    self.help.finder,
                    self.help.guide,
                    *below,
                    self.actions,
                    self.report,
                    self._trust_button,
                ]
            ),
            layout=shared(ipywidgets.Layout),
            _dom_classes=["docmail-form", *(f"dm-{state}" for state in sorted(self._states))],
        )
        with self.actions.hold_sync():
            self._refresh()
        for name, field in self.fields.items():
            field.observe(lambda _change, name=name: self._follow(self._edited, name), "value")
        watchers.add(self)

    def _buttons(self) -> list[tuple[str, str]]:
        buttons = [(TEST, _("Test email settings")), (UPDATE, _("Update"))]
        if self._answering:
            buttons.append((OTHER_PORT, _("Use port {port}").format(port=self._answering)))
        return buttons

    def _offer_port(self, port: int | None) -> None:
        """Offer the other port of the server, which the last test found to answer; None takes the offer back."""
        if port != self._answering:
            self._answering = port
            self.actions.actions = [list(button) for button in self._buttons()]

    # --- for programs ---

    @_speaking
    def fill(self, **values: Any) -> None:
        """Fill fields in, by their names in `Settings` (host, port, username, sender, ...); never the password."""
        changes = fields.filled(values, self._values())
        with self.help.standing_back(when="host" in changes):
            if "email_address" in changes:  # what is given explicitly has the last word
                self.fields["email_address"].value = changes.pop("email_address")
            for name, value in changes.items():
                self.fields[name].value = value

    @_speaking
    def test(self) -> Diagnosis | None:
        """Send the test email with the values as they stand, showing each step; None if some cannot stay so."""
        return self._now(lambda: self._test(self._values(), None))

    @_speaking
    def save(self) -> bool:
        """Save the values as they stand; the stored password stays. Return whether they are saved."""
        return bool(self._now(lambda: self._save(self._values(), None)))

    @_speaking
    def trust(self) -> None:
        """Fill in the fingerprint of the certificate that the last test met and could not verify; else do nothing."""
        if not self._untrusted:
            return
        self.fields["fingerprint"].value = self._untrusted
        self._offer_trust(None)
        self.report.value = report.trusted()

    def __repr__(self) -> str:
        return f"<SettingsForm profile={self._profile}, {self._state()}>"

    def _ipython_display_(self) -> None:
        from IPython.display import display

        for bundle in self._outputs():
            display(bundle, raw=True)

    @_speaking
    def _outputs(self) -> list[dict[str, Any]]:
        """Return what a cell shows: words for whoever opens the notebook without its kernel, and the form."""
        return static_fallback.outputs(
            {"text/html": self._repr_mimebundle_()["text/html"], "text/plain": repr(self)}, self
        )

    @_speaking
    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = super()._repr_mimebundle_(**options)
        return {**bundle, "text/html": report.without_kernel(self._profile, self._saved)}

    # --- the buttons ---

    @_speaking
    def _pressed(self, action: str, values: dict[str, Any], secret: Secret | None) -> None:
        """Do what a button says. The values come with the press: the kernel's own copies may still be older."""
        if action == "stop":
            self._work.stop()
        elif action == TEST:
            self._work.start(lambda: self._test(values, secret))
        elif action == UPDATE:
            self._work.start(lambda: self._save(values, secret))
        elif action == OTHER_PORT and self._answering:
            self.fill(port=self._answering)

    def _now(self, do: Callable[[], _T]) -> _T | None:
        results: list[_T] = []
        self._work.run(lambda: results.append(do()))
        return results[0] if results else None

    def _test(self, values: dict[str, Any], secret: Secret | None) -> Diagnosis | None:
        settings = self._checked(values)
        if settings is None:
            return None
        from docmail.diagnosis import diagnose

        met: dict[str, Check] = {}

        def show(check: Check) -> None:
            met[check.phase] = check
            self.report.value = markup.checks(met.values())

        self.report.value = markup.paragraph(_("Connecting…"))
        diagnosis = diagnose(settings, secret=secret, on_check=show, hold=self._work.hold)
        self._show_diagnosis(diagnosis, settings, values, typed=secret is not None)
        return diagnosis

    def _save(self, values: dict[str, Any], secret: Secret | None) -> bool:
        settings = self._checked(values)
        if settings is None:
            return False
        profile = trimmed(values["profile"]) or self._profile
        if problem := self._profile_problem(profile):
            self._show_problems([problem])
            return False
        if not settings.account.username or settings.signs_in_with_token:
            secret = None  # an account that does not sign in has no password; what is typed stays on the screen
        if secret:
            secret = credentials.tidied(settings, secret)  # what is no password is refused before anything is saved
        settings.save(profile)
        self._profile, self._saved, self._as_shown = profile, settings, settings
        self._shown = self._values()
        if secret:
            credentials.set(settings, secret)
            self.password.clear()
        self._show_saved(settings)
        self.actions.primary = ""
        for watcher in list(watchers):
            try:
                watcher.settings_saved(settings, profile)
            except Exception as exc:  # noqa: BLE001 - the settings are saved, whatever else on the screen fails at it
                self.report.value += markup.failure(exc)
        return True

    def _profile_problem(self, profile: str) -> Problem | None:
        """Return what is wrong with the place where Update would save, if anything."""
        if self._home.rehearsal and not self._home.settings_file.parent.exists():
            return Problem("profile", _("The sandbox of this rehearsal is closed: run this cell again."))
        try:
            taken = profile_name(profile) != self._profile and profile in read_profiles(self._home.settings_file)
        except SettingsError as exc:
            return Problem("profile", str(exc))
        if not taken or profile == self._replacing:
            return None
        self._replacing = profile
        sentence = _("“{name}” is saved already. Press Update again to replace it, or choose another name.")
        return Problem("profile", sentence.format(name=profile))

    def _checked(self, values: dict[str, Any]) -> Settings | None:
        """Return the settings that the values mean; None, with the problems beside their fields, if there are any."""
        self._submitted, self._at_press = dict(values), self._values()
        self._offer_trust(None)
        self._offer_port(None)
        self._succeeded = False
        self.report.value = ""
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
        return settings, problems

    # --- what the form says ---

    def _show_problems(self, problems: Sequence[Problem]) -> None:
        for problem in problems:
            if row := self.rows.get(problem.field):
                row.show_problem(problem.message)
                self._unfold(problem.field)
        self.actions.focus_on(problems[0].field)
        self.report.value = report.problems(len(problems))

    def _show_diagnosis(self, diagnosis: Diagnosis, settings: Settings, values: dict[str, Any], *, typed: bool) -> None:
        failed = diagnosis.failed
        if failed is None:
            saved = settings == self._as_shown
            self.report.value = report.sent(diagnosis, settings, saved=saved)
            untouched = not self._typed_since_press(values)
            self.actions.primary = "" if saved else UPDATE if untouched else TEST
            self._succeeded = untouched
            return
        self.actions.primary = TEST
        if self._work.stopped and failed.kind is Kind.NETWORK:
            self.report.value = report.stopped(diagnosis)
            return
        hint = failed.hint
        if failed.phase == "credential" and failed.field == "password" and not typed:
            hint = _("Type it into Password.")  # the core's hint is for people who are not in this form
        asks = bool(failed.fingerprint and values["self_signed"] and not presets.established(trimmed(values["host"])))
        self.report.value = report.failed(diagnosis, failed, hint, asks=asks) + support_report.section(
            diagnosis, settings
        )
        self._offer_port(failed.port)
        if asks:
            self._offer_trust(failed.fingerprint)
        elif failed.field and (row := self.rows.get(fields.shown_field(failed.field, values))):
            row.show_problem(hint or failed.text)
            self._unfold(row.name)

    def _typed_since_press(self, values: dict[str, Any]) -> bool:
        """Whether somebody has gone on typing; a change that preceded the press may also have arrived late."""
        now = self._values()
        return any(now[name] not in {self._at_press[name], values[name]} for name in now)

    def _unfold(self, name: str) -> None:
        if name in fields.ADVANCED:
            self.fields["advanced"].value = True

    def _offer_trust(self, fingerprint: str | None) -> None:
        """Offer to trust the certificate that a test met; None takes the offer back."""
        self._untrusted = fingerprint or ""
        self._show_state("untrusted", bool(fingerprint))

    def _show_state(self, name: str, on: bool) -> None:  # noqa: FBT001 - a switch
        if on == (name in self._states):
            return
        (self._states.add if on else self._states.remove)(name)
        if self.comm is not None:
            (self.add_class if on else self.remove_class)(f"dm-{name}")

    def _show_saved(self, settings: Settings) -> None:
        place: Where | CredentialError | None
        try:
            place = credentials.where(settings)
        except CredentialError as exc:
            place = exc
        if settings.signs_in_with_token and place is None:
            self.rows["sign_in"].show_problem(_("nobody has signed in yet"))
        elif settings.account.username and place is None:
            self.rows["password"].show_problem(_("no password is stored yet"))
        self.report.value = report.saved(settings, place, self._profile, rehearsal=self._home.rehearsal)

    @_speaking
    def _show_failure(self, exc: Exception) -> None:
        if isinstance(exc, SettingsError) and exc.problems:
            self._show_problems(exc.problems)
        self.report.value = markup.failure(exc)

    def _refresh(self) -> None:
        """Bring heading, placeholder and the self-signed box in line with the values."""
        values = self._values()
        self._heading.value = report.heading(self._profile, self._state(), rehearsal=self._home.rehearsal)
        self._refresh_password(values)
        provider = presets.established(trimmed(values["host"]))
        box = self.fields["self_signed"]
        box.disabled = provider is not None
        if provider is not None:
            box.value = False
        self.rows["self_signed"].hint = fields.self_signed_help(values["host"])

    @_speaking
    def settings_saved(self, settings: Settings, profile: str) -> None:
        """Follow what a form has saved under this profile, but leave alone what is being typed here."""
        if profile == self._profile and settings.home == self._home:
            untouched = self._values() == self._shown
            self._saved = self._as_shown = settings
            if untouched:
                self._show_values(settings)
        self._places.clear()
        self._refresh()

    def _refresh_password(self, values: dict[str, Any]) -> None:
        settings, _problems = self._settings_of(values)
        self.sign_in.offer(values)
        kept: Where | None = None
        # A stored password belongs to one account: with another server or username its placeholder goes away.
        known = self._saved is not None and settings.account == self._saved.account
        if (known or settings.signs_in_with_token) and settings.account.username:
            kept = self._places.of(settings)
        show_secret(self.rows["password"], kept, self.help.preset, self.help.service, self._places.keyring)
        self.sign_in.show(kept if settings.signs_in_with_token else None, settings, self._places)

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

    def _load(self) -> None:
        try:
            if self._profile != homes.SHARED_SANDBOX and self._profile not in profiles():
                return
            self._saved = Settings.load(self._profile)
        except DocmailError as exc:
            self.report.value = markup.failure(exc)
            return
        self._home = self._saved.home or self._home
        self._show_values(self._saved)

    def _show_values(self, settings: Settings) -> None:
        with self.help.standing_back():
            for name, value in fields.values_of(settings).items():
                self.fields[name].value = value
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
        # While a cell runs, the change that preceded a press may arrive after it; it is then not a new one.
        late = self.fields[name].value == self._submitted.pop(name, _NOTHING)
        with self.actions.hold_sync():
            self.help.edited(name)
            if not late:
                self.rows[name].clear_problem()
                if name == "profile":
                    self._replacing = ""  # the question was about another name
                if name in {"host", "port", "port_number"}:
                    self._offer_port(None)
                    self._offer_trust(None)
                if self._succeeded:  # with other values than those that now stand here
                    self._succeeded = False
                    self.report.value = ""
                if not self.actions.busy:
                    self.actions.primary = TEST
            self._refresh()

    @_speaking
    def _left(self, name: str, values: dict[str, Any]) -> None:
        """Judge a field as soon as it is left; the others wait for their turn, or for a press."""
        if self.actions.busy or name not in self.rows:
            return
        problems = {problem.field: problem.message for problem in self._settings_of(values)[1]}
        if name == "email_address" and values["username"] == values[name]:
            problems.setdefault(name, problems.get("username", ""))
        if message := problems.get(name):
            self._judged.add(name)
            self.rows[name].show_problem(message)
        elif name in self._judged:  # what a test has said stays
            self._judged.discard(name)
            self.rows[name].clear_problem()
