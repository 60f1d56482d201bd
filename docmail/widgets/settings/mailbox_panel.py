"""The mailbox in the settings form: its test with a button of its own, and what its rows say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from docmail import presets
from docmail.addresses import trimmed
from docmail.errors import Field, Guide, Kind
from docmail.language import _
from docmail.settings import HttpServer, Security
from docmail.widgets.parts import markup
from docmail.widgets.parts.background import WithoutDoubt, Work
from docmail.widgets.parts.controls import Actions, Password
from docmail.widgets.parts.form_rows import Html, light
from docmail.widgets.settings import fields as form_fields
from docmail.widgets.settings import mailbox_fields, report
from docmail.widgets.settings.field_names import AFTER_SENDING, FormField

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import ipywidgets

    from docmail.credentials import Where
    from docmail.diagnosis import Check, Diagnosis
    from docmail.errors import Problem
    from docmail.secret import Secret
    from docmail.settings import Settings
    from docmail.widgets.parts.form_rows import Rows
    from docmail.widgets.settings.password_row import Places
    from docmail.widgets.settings.report import Result

TEST_MAILBOX, TRUST_MAILBOX = "test-mailbox", "trust-mailbox"
_DETAILS = "dm-mailbox-details"


class MailboxPanel:
    """The button *Test mailbox* with its result, and the notes of the rows above it.

    `settings_of` reads the form; `show_problems` shows what is wrong beside the fields, `show_state(name, on)` sets
    which parts of the form are shown, and `unfold` opens the fold in which a row stands.
    """

    def __init__(  # noqa: PLR0913 - what it needs of the form
        self,
        rows: Rows,
        fields: Mapping[str, ipywidgets.Widget],
        settings_of: Callable[[dict[str, Any]], tuple[Settings, list[Problem]]],
        *,
        show_problems: Callable[[Sequence[Problem]], None],
        show_state: Callable[[str, bool], None],
        unfold: Callable[[str], None],
    ) -> None:
        self._rows = rows
        self._fields = fields
        self._settings_of = settings_of
        self._show_problems = show_problems
        self._show_state = show_state
        self._unfold = unfold
        self._untrusted = ""
        self.password: Password = rows[Field.MAILBOX_PASSWORD].control
        shown_in = ["dm-if-after-sending", "dm-if-mailbox", "dm-in-more"]
        self.report = light(Html, _dom_classes=["dm-report", _DETAILS, *shown_in])
        self.actions = Actions(
            [(TEST_MAILBOX, _("Test mailbox"))],
            self._pressed,
            fields=fields,
            carries=Field.MAILBOX_PASSWORD,
            carries_too=[Field.PASSWORD],
            details=_DETAILS,
            classes=["dm-mailbox-actions", *shown_in],
            within=True,
        )
        self.guide = light(Html, _dom_classes=["dm-report", "dm-if-after-sending", "dm-in-more"])
        self._work = Work(self.actions, self._show_failure)
        self._result = report.mailbox_untested()
        self._show(self._result)

    def stand_in(self, controls: list[ipywidgets.Widget]) -> None:
        """Take the places among the form's fields: below the last row of the mailbox."""
        at = controls.index(self._rows[AFTER_SENDING[-1]].control) + 1
        controls[at:at] = [self.actions, self.report, self.guide]

    # --- what the rows say ---

    def refresh(self, values: Mapping[str, Any], settings: Settings, saved: Settings | None, places: Places) -> None:
        """Bring the rows in line with the values, which mean these settings."""
        mailbox = settings.mailbox
        fold = self._fields[FormField.AFTER_SENDING]
        name = _("After sending")
        fold.description = f"{name} · {mailbox.host}" if mailbox is not None and mailbox.host else name
        if fold.value and not self.guide.value:  # a closed fold costs nothing
            self.guide.value = markup.guide(Guide.AFTER_SENDING)
        self._rows[FormField.MAILBOX].hint = _about(settings)
        known = mailbox is not None and self._is_known(values)
        self._show_state("mailbox-known", known)
        own = mailbox is not None and bool(mailbox.host) and not settings.mailbox_shares_sign_in
        self._show_state("mailbox-own", own)
        if mailbox is None:
            return
        if known:
            encrypted = _("encrypted") if mailbox.effective_security is not Security.NONE else _("not encrypted")
            facts = (mailbox.host, _("port {port}").format(port=mailbox.port), encrypted)
            self._rows[FormField.MAILBOX_SERVER].hint = markup.tag("span", " · ".join(facts))
        self._rows[Field.MAILBOX_HOST].hint = self._host_to_try(values)
        box = self._fields[FormField.MAILBOX_SELF_SIGNED]
        established = presets.established(trimmed(values[Field.MAILBOX_HOST])) is not None
        box.disabled = established
        if established:
            box.value = False
        self._rows[FormField.MAILBOX_SELF_SIGNED].hint = form_fields.self_signed_help(values[Field.MAILBOX_HOST])
        if own:
            # The keyring is not asked about every name that is being typed.
            before = saved.for_mailbox.account if saved is not None and saved.mailbox is not None else None
            mine = settings.for_mailbox
            self._refresh_password(places.of(mine) if mine.account == before else None, places)

    def _refresh_password(self, kept: Where | None, places: Places) -> None:
        said = {
            "keyring": _("kept in {keyring}").format(keyring=places.keyring),
            "session": _("kept until this kernel stops"),
            "environment": _("comes from {variable}").format(variable="DOCMAIL_MAILBOX_PASSWORD"),
        }
        self.password.placeholder = _("•••••••• stored; empty keeps it") if kept else ""
        self._rows[Field.MAILBOX_PASSWORD].hint = said.get(kept or "", "") or _(
            "of the mailbox, not the one for sending"
        )

    def _is_known(self, values: Mapping[str, Any]) -> bool:
        """Whether the mailbox is the one that the provider's facts name, so that one line says all of it."""
        preset = self._fields[FormField.PROVIDER].value
        facts = mailbox_fields.values_of_preset(presets.by_name(preset)) if preset else {}
        own = trimmed(values[Field.MAILBOX_USERNAME]) or trimmed(values[Field.MAILBOX_FINGERPRINT])
        return bool(facts) and not own and all(values[name] == value for name, value in facts.items())

    def _host_to_try(self, values: Mapping[str, Any]) -> str:
        """Return what stands beside the server: while it is empty, the name that it probably has, to be taken."""
        usual = _("as your provider names it")
        sending = trimmed(values[Field.HOST])
        if trimmed(values[Field.MAILBOX_HOST]) or values[Field.PROTOCOL] != "smtp" or "." not in sending:
            return usual
        host = f"imap.{sending.removeprefix('smtp.')}" if sending.startswith("smtp.") else sending
        use = markup.setter(Field.MAILBOX_HOST, host, _("Use {server}").format(server=host), class_=markup.LINK)
        return markup.joined([usual, " · ", use])

    def lacks_password(self, settings: Settings, places: Places) -> bool:
        """Say whether the mailbox has a password of its own, and none is known."""
        own = settings.mailbox is not None and not settings.mailbox_shares_sign_in
        return own and places.of(settings.for_mailbox) is None

    def edited(self, name: str) -> None:
        """Take back what was said about the mailbox once something of it has been changed."""
        if name != Field.MAILBOX_PASSWORD:
            self._offer_trust(None)
        if not self.actions.busy and self._result != report.mailbox_untested():
            self._show(report.changed(self._result, tested=True))

    # --- the test ---

    def _pressed(self, action: str, values: dict[str, Any], secret: Secret | None) -> None:
        for_sending = values.pop(Field.PASSWORD, None)
        if action == TEST_MAILBOX:
            self._work.start(lambda: self._test(values, secret, for_sending))

    def _test(self, values: dict[str, Any], secret: Secret | None, for_sending: Secret | None) -> None:
        self._offer_trust(None)
        settings, problems = self._settings_of(values)
        for name in AFTER_SENDING:
            self._rows[name].clear_problem()
        if problems:
            self._show_problems(problems)
            self.actions.focus_on(problems[0].field)
            self._show(report.problems(len(problems)))
            return
        from docmail.diagnosis import diagnose_mailbox, expected_mailbox_phases

        shares = settings.mailbox_shares_sign_in
        met: dict[str, Check] = {}
        expected = expected_mailbox_phases(settings)

        def show(check: Check) -> None:
            met[check.phase] = check
            self.report.value = markup.checks(met.values())
            pending = next((phase for phase in expected if phase not in met), "")
            passed = [each.phase for each in met.values() if each.ok]
            testing = markup.tag("span", _("Testing …"), class_="dm-if-connected")
            self.actions.say(testing, steps=markup.steps(passed, pending), details=_("details"))

        diagnosis = diagnose_mailbox(
            settings,
            secret=for_sending if shares else secret,
            on_check=show,
            hold=lambda mailbox: self._work.hold(WithoutDoubt(mailbox.abort)),
        )
        self._show_diagnosis(diagnosis, settings, values)

    def _show_diagnosis(self, diagnosis: Diagnosis, settings: Settings, values: Mapping[str, Any]) -> None:
        failed = diagnosis.failed
        if failed is None:
            self._show(report.mailbox_works(diagnosis))
            return
        if self._work.stopped and failed.kind is Kind.NETWORK:
            self._show(report.mailbox_stopped(diagnosis))
            return
        established = presets.established(trimmed(values[Field.MAILBOX_HOST]))
        asks = bool(failed.fingerprint and values[FormField.MAILBOX_SELF_SIGNED] and not established)
        if asks:
            failed = replace(failed, hint=report.compare())
            diagnosis = replace(diagnosis, checks=(*(check for check in diagnosis.checks if check.ok), failed))
        name = Field.MAILBOX_FINGERPRINT if asks else form_fields.shown_field(failed.field or "", values)
        row = self._rows.get(name)
        self._show(report.mailbox_failed(diagnosis, failed, settings, asks=asks, beside_field=row is not None))
        if asks:
            self._offer_trust(failed)
        elif row is not None:
            row.show_problem(failed.hint or failed.text)
        if row is not None:
            self._unfold(row.name)
            self.actions.focus_on(row.name)

    def trust(self) -> None:
        """Fill in the fingerprint of the certificate that the last test met and could not verify; else do nothing."""
        if self._untrusted:
            self._fields[Field.MAILBOX_FINGERPRINT].value = self._untrusted
            self._offer_trust(None)
            self._show(report.trusted())

    def _offer_trust(self, met: Check | None) -> None:
        """Ask beside its row about the certificate that a test met; None takes the question back."""
        self._untrusted = (met and met.fingerprint) or ""
        question = report.certificate_question(met, TRUST_MAILBOX) if met else markup.NOTHING
        self._rows[Field.MAILBOX_FINGERPRINT].ask(question)

    def _show(self, result: Result) -> None:
        self._result = result
        self.report.value = result.details
        self.actions.say(markup.standing(result.kind, result.sentence), details=result.label, opened=result.opened)

    def _show_failure(self, exc: Exception) -> None:
        self._show(report.failure(exc))


def _about(settings: Settings) -> str:
    """Return what docmail does in the mailbox; mail services and forms say elsewhere what did not arrive."""
    server = settings.server
    if not isinstance(server, HttpServer) or (server.service is not None and server.service.has_mailbox):
        provider = presets.by_host(settings.account.host)
        if provider is not None and provider.files_sent:
            said = _("Reads which mails came back (bounced), deletes nothing. {provider} itself files the copies.")
            return said.format(provider=_(provider.name))
        return mailbox_fields.what_it_does()
    from docmail.mailbox import in_words

    return markup.warning(in_words(replace(settings, mailbox=None)))
