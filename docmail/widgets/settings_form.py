"""The settings screen: fields, a test email with the values as they stand, and Update, in a cell of a notebook."""

from __future__ import annotations

import os
from html import escape
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

import ipywidgets

from docmail import credentials, presets
from docmail import home as homes
from docmail.addresses import trimmed
from docmail.errors import CredentialError, DocmailError, Kind, SettingsError
from docmail.settings import Settings, profiles
from docmail.translation import _, ngettext
from docmail.widgets import markup, settings_fields
from docmail.widgets.controls import Actions, Password
from docmail.widgets.rows import light
from docmail.widgets.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from docmail.credentials import Account, Secret, Where
    from docmail.diagnosis import Check, Diagnosis
    from docmail.errors import Problem

__all__ = ["SettingsForm"]

_T = TypeVar("_T")

TEST, UPDATE = "test", "update"

watchers: WeakSet[Any] = WeakSet()
"""What is shown in this kernel and depends on saved settings; `settings_saved()` is called on each after an Update."""


class SettingsForm(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets is not typed
    """The email settings of a profile (None: the selected one), to fill in, test and save.

    Make it the last expression of a cell. `test()` and `save()` do what the buttons do.
    """

    def __init__(self, profile: str | None = None) -> None:
        self._profile = profile or os.environ.get("DOCMAIL_PROFILE") or "default"
        self._saved: Settings | None = None
        self._submitted: dict[str, Any] = {}
        self._places: dict[Account, Where | None] = {}
        rows = settings_fields.rows(self._profile)
        self.rows = {row.name: row for row in rows}
        self.fields = settings_fields.widgets_of(rows)
        self.password: Password = self.rows["password"].control
        self.actions = Actions(
            [(TEST, _("Test email settings")), (UPDATE, _("Update"))],
            self._pressed,
            fields=self.fields,
            rules=settings_fields.RULES,
            follow=settings_fields.FOLLOW,
            with_password=True,
            primary=TEST,
        )
        self._work = Work(self.actions, self._show_failure)
        self._heading = light(ipywidgets.HTML)
        self.report = light(ipywidgets.HTML)
        self.report.add_class("dm-report")
        self._trust_button = ipywidgets.Button(description=_("Trust this certificate"), layout={"width": "max-content"})
        self._trust_button.on_click(lambda _button: self.trust())
        self._trust_button.add_class("dm-if-untrusted")
        self._untrusted = ""
        advanced = ipywidgets.Accordion(
            [light(ipywidgets.VBox, [self.rows[name] for name in settings_fields.ADVANCED])], titles=[_("Advanced")]
        )
        advanced.add_class("dm-advanced")
        self._advanced = advanced
        plain = [row for row in rows if row.name not in settings_fields.ADVANCED]
        super().__init__([self._heading, *plain, advanced, self.actions, self.report, self._trust_button])
        self._load()
        for css_class in (
            "docmail-form",
            *(f"dm-{state}" for state in settings_fields.states(self.actions.current())),
        ):
            self.add_class(css_class)
        for name, field in self.fields.items():
            field.observe(lambda _change, name=name: self._edited(name), "value")
        self.actions.on_ready = self._front_end_ready
        self._refresh()

    # --- for programs ---

    def fill(self, **values: Any) -> None:
        """Fill fields in, by their names in `Settings` (host, port, username, sender, ...); never the password."""
        for name, value in settings_fields.filled(values, self.actions.current()).items():
            self.fields[name].value = value

    def test(self) -> Diagnosis | None:
        """Send the test email with the values as they stand, showing each step; None if some cannot stay so."""
        return self._now(lambda: self._test(self.actions.current(), None))

    def save(self) -> bool:
        """Save the values as they stand; the stored password stays. Return whether they are saved."""
        return bool(self._now(lambda: self._save(self.actions.current(), None)))

    def trust(self) -> None:
        """Fill in the fingerprint of the certificate that the last test met and could not verify."""
        self.fields["fingerprint"].value = self._untrusted
        self._offer_trust("")
        self.report.value = markup.box("mind", markup.paragraph(_("Test again: this certificate is now trusted.")))

    def __repr__(self) -> str:
        return f"<SettingsForm profile={self._profile}, {self._state()}>"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = super()._repr_mimebundle_(**options)
        self.actions.expect(self._front_end_silent)
        text = _("Email settings, profile “{profile}”. Run this cell to open the form.").format(profile=self._profile)
        return {**bundle, "text/html": f"<p>{escape(text)}</p>"}

    # --- the buttons ---

    def _pressed(self, action: str, values: dict[str, Any], secret: Secret | None) -> None:
        """Do what a button says. The values come with the press: the kernel's own copies may still be older."""
        if action == "stop":
            self._work.stop()
        elif action == TEST:
            self._work.start(lambda: self._test(values, secret))
        elif action == UPDATE:
            self._work.start(lambda: self._save(values, secret))

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
        self._show_diagnosis(diagnosis, settings, values)
        return diagnosis

    def _save(self, values: dict[str, Any], secret: Secret | None) -> bool:
        settings = self._checked(values)
        if settings is None:
            return False
        if secret:
            secret = credentials.tidied(settings, secret)  # what is no password is refused before anything is saved
        profile = trimmed(values["profile"]) or self._profile
        settings.save(profile)
        self._profile, self._saved = profile, settings
        if secret:
            credentials.set(settings, secret)
            self.password.clear()
        self._show_saved(settings)
        self.actions.primary = ""
        self._places.clear()
        self._refresh()
        for watcher in list(watchers):
            watcher.settings_saved()
        return True

    def _checked(self, values: dict[str, Any]) -> Settings | None:
        """Return the settings that the values mean; None, with the problems beside their fields, if there are any."""
        self._submitted = values
        for row in self.rows.values():
            row.clear_problem()
        self._offer_trust("")
        self.report.value = ""
        settings, problems = settings_fields.settings_of(values, self._home)
        if problems:
            self._show_problems(problems)
            return None
        self.actions.mark([])
        return settings

    @property
    def _home(self) -> homes.Home | None:
        """Where to save: where the settings come from, or the open sandbox; None is the user's own place."""
        if self._saved is not None and self._saved.home is not None:
            return self._saved.home
        current = homes.current()
        return current if current.rehearsal else None

    # --- what the form says ---

    def _show_problems(self, problems: Sequence[Problem]) -> None:
        for problem in problems:
            if row := self.rows.get(problem.field):
                row.show_problem(problem.message)
                self._unfold(problem.field)
        self.actions.mark([problem.field for problem in problems])
        number = len(problems)
        self.report.value = markup.box("bad", markup.bad(_problems_sentence(number)))

    def _show_diagnosis(self, diagnosis: Diagnosis, settings: Settings, values: dict[str, Any]) -> None:
        lines = markup.checks(diagnosis.checks)
        failed = diagnosis.failed
        if failed is None:
            address = settings.address.shown
            total = markup.seconds(sum(check.seconds for check in diagnosis.checks))
            sentence = _("The test email is on its way to {address} ({seconds}).").format(
                address=address, seconds=total
            )
            saved = settings == self._saved
            self.report.value = lines + markup.box(
                "good",
                markup.good(sentence),
                markup.paragraph(_("Look into your inbox, and into the spam folder.")),
                "" if saved else markup.paragraph(_("Press Update to keep these settings.")),
            )
            self.actions.primary = "" if saved else UPDATE
            return
        self.actions.primary = TEST
        if self._work.stopped and failed.kind is Kind.NETWORK:
            self.report.value = lines + markup.box("mind", markup.paragraph(_("Stopped. No test email was sent.")))
            return
        sentence, hint = markup.without_reply(failed.text, failed.reply), failed.hint
        if failed.phase == "credential" and failed.field == "password":
            hint = _("Type it into Password.")  # the core's hint is for people who are not in this form
        asks = failed.fingerprint and values["self_signed"] and not presets.established(trimmed(values["host"]))
        if failed.fingerprint and asks:
            sentence = markup.without_end(sentence, failed.fingerprint)  # it stands in the question
        self.report.value = lines + markup.box(
            "bad",
            markup.bad(sentence),
            markup.paragraph(hint) if hint else "",
            markup.said(failed.reply),
            markup.guide(failed.guide),
        )
        if failed.fingerprint and asks:
            self._offer_trust(failed.fingerprint)
        elif failed.field and (row := self.rows.get(settings_fields.shown_field(failed.field, values))):
            row.show_problem(hint or sentence)
            self._unfold(row.name)
            self.actions.mark([row.name], focus=False)

    def _unfold(self, name: str) -> None:
        if name in settings_fields.ADVANCED:
            self._advanced.selected_index = 0

    def _offer_trust(self, fingerprint: str) -> None:
        self._untrusted = fingerprint
        if not fingerprint:
            self.remove_class("dm-untrusted")
            return
        self.report.value += markup.box(
            "mind",
            markup.paragraph(_("This is the SHA-256 fingerprint of the certificate that the server shows:")),
            f'<div class="dm-said">{escape(fingerprint)}</div>',
            markup.paragraph(
                _("Compare it with the one your server's administrator gives you. Trust it only if they are equal.")
            ),
        )
        self.add_class("dm-untrusted")

    def _show_saved(self, settings: Settings) -> None:
        every = _("Every PDF that docmail shows in a notebook now has an Email button.")
        parts = [markup.good(_("Saved. {what_now}").format(what_now=every))]
        missing = None
        if settings.account.username:
            try:
                parts.append(_kept(credentials.where(settings), rehearsal=self._rehearsal))
            except CredentialError as exc:
                missing = exc
        if missing is not None:
            parts += [markup.paragraph(str(missing)), markup.guide(missing.guide)]
        elif settings.account.username and credentials.where(settings) is None:
            self.rows["password"].show_problem(_("no password is stored yet"))
            parts.append(markup.paragraph(_("No password is stored for this account: type it and press Update again.")))
        self.report.value = markup.box("good", *parts)

    def _show_failure(self, exc: Exception) -> None:
        if isinstance(exc, SettingsError) and exc.problems:
            self._show_problems(exc.problems)
        self.report.value = markup.failure(exc)

    def _refresh(self) -> None:
        """Bring heading, placeholder and the self-signed box in line with the values."""
        values = self.actions.current()
        rehearsal = _("rehearsal: nothing here touches your own settings") if self._rehearsal else ""
        states = {
            "saved": _("saved"),
            "changed": _("changed, not saved yet"),
            "not saved yet": _("not saved yet"),
        }
        right = " · ".join(
            part for part in (rehearsal, _("profile: {name}").format(name=self._profile), states[self._state()]) if part
        )
        self._heading.value = (
            f'<div class="dm-heading"><b>{escape(_("Email settings"))}</b><span>{escape(right)}</span></div>'
        )
        self._refresh_password(values)
        provider = presets.established(trimmed(values["host"]))
        box = self.fields["self_signed"]
        box.disabled = provider is not None
        if provider is not None:
            box.value = False
        self.rows["self_signed"].hint = settings_fields.self_signed_help(values["host"])

    def _refresh_password(self, values: dict[str, Any]) -> None:
        settings, _problems = settings_fields.settings_of(values, self._home)
        kept: Where | None = None
        # A stored password belongs to one account: with another server or username its placeholder goes away.
        if self._saved is not None and settings.account == self._saved.account and settings.account.username:
            kept = self._place(settings)
        self.password.placeholder = _("•••••••• stored; empty keeps it") if kept else ""
        places = {
            "keyring": _("kept in the system's keyring"),
            "session": _("kept until this kernel stops"),
            "environment": _("comes from DOCMAIL_PASSWORD"),
        }
        self.rows["password"].hint = escape(places[kept]) if kept else ""

    def _place(self, settings: Settings) -> Where | None:
        """Return where this account's password is; the keyring, which may be slow, is not asked at every keystroke."""
        if settings.account not in self._places:
            try:
                self._places[settings.account] = credentials.where(settings)
            except DocmailError:
                self._places[settings.account] = None
        return self._places[settings.account]

    @property
    def _rehearsal(self) -> bool:
        return self._home is not None and self._home.rehearsal

    def _state(self) -> str:
        if self._saved is None:
            return "not saved yet"
        settings, _problems = settings_fields.settings_of(self.actions.current(), self._home)
        return "saved" if settings == self._saved else "changed"

    # --- events ---

    def _load(self) -> None:
        try:
            if self._profile != homes.SHARED_SANDBOX and self._profile not in profiles():
                return
            self._saved = Settings.load(self._profile)
        except DocmailError as exc:
            self.report.value = markup.failure(exc)
            return
        for name, value in settings_fields.values_of(self._saved).items():
            self.fields[name].value = value

    def _edited(self, name: str) -> None:
        """Take back what the form said about a field once it has been changed."""
        # While a cell runs, the change that preceded a press may arrive after it; it is then not a new one.
        if self.fields[name].value == self._submitted.get(name):
            return
        row = self.rows[name]
        if row.wrong:
            row.clear_problem()
        if not self.actions.busy:
            self.actions.primary = TEST
        self._refresh()

    def _front_end_ready(self) -> None:
        if self.report.value == markup.silence():
            self.report.value = ""

    def _front_end_silent(self) -> None:
        if not self.report.value:
            self.report.value = markup.silence()


def _kept(place: Where | None, *, rehearsal: bool) -> str:
    """Say where the password is."""
    if place and rehearsal:
        return markup.paragraph(_("This is a rehearsal: the password lasts until this kernel stops."))
    if place == "keyring":
        return markup.paragraph(_("The password is in the system's keyring."))
    if place == "environment":
        return markup.paragraph(_("The password comes from the environment (DOCMAIL_PASSWORD)."))
    if place == "session":
        sentence = _("This machine has no keyring that docmail can use: the password lasts until this kernel stops.")
        return markup.paragraph(sentence) + markup.guide("JupyterHub", _("What you can do"))
    return ""


def _problems_sentence(number: int) -> str:
    return ngettext(
        "One field needs another look; nothing was sent or saved.",
        "{number} fields need another look; nothing was sent or saved.",
        number,
    ).format(number=number)
