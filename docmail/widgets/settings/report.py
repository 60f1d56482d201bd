"""What the settings form says about itself: its heading, and the result beside its buttons with the details below."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from markupsafe import Markup

from docmail import credentials, presets
from docmail.errors import DocmailError
from docmail.language import _, ngettext
from docmail.settings import Mailbox, SmtpServer, profile_name
from docmail.widgets.parts import markup
from docmail.widgets.settings import support_report
from docmail.widgets.settings.mailbox_fields import self_signed_for_mailbox

if TYPE_CHECKING:
    from docmail.credentials import Where
    from docmail.diagnosis import Check, Diagnosis
    from docmail.errors import CredentialError
    from docmail.settings import Settings


@dataclass(frozen=True)
class Result:
    """What stands beside the buttons: a sentence of a `kind` ("good", "bad", "mind", "idle"), and what is below them.

    `label` is the name of the button that shows and hides the details, `opened` whether they are shown at first.
    """

    kind: str
    sentence: str
    details: Markup = markup.NOTHING
    label: str = ""
    opened: bool = False


def heading(profile: str, state: str, *, rehearsal: bool) -> Markup:
    """Return the form's title, and what is being edited; the state is "saved", "changed" or "not saved yet"."""
    states = {"saved": _("saved"), "changed": _("changed, not saved yet"), "not saved yet": _("not saved yet")}
    parts = [_("profile: {name}").format(name=profile), states[state]]
    if rehearsal:
        parts.insert(0, _("rehearsal: nothing here touches your own settings"))
    return markup.heading(_("Email settings"), " · ".join(parts))


# --- before a test, and after a change ---


def untested(*, saved: bool, missing: bool = False) -> Result:
    """Return how things stand before a test; `missing` is whether saved settings have lost their password."""
    if missing:
        return Result("mind", _("Saved before, but the password is missing: type it again."))
    return Result("idle", _("Saved before. Not tested since this cell ran.") if saved else _("Not tested yet."))


def changed(before: Result, *, tested: bool) -> Result:
    """Return how things stand after a change; `before` is the result it followed, which may have been of a test."""
    if before.kind == "bad" and tested:
        sentence = _("Changed since the test. It said: {sentence}").format(sentence=before.sentence)
        return replace(before, kind="idle", sentence=sentence)
    if tested:
        return Result("idle", _("Changed since the test: test again."))
    return Result("idle", _("Changed since it was saved. Not tested yet."))


def problems(number: int) -> Result:
    """Return how many fields need another look."""
    sentence = ngettext(
        "One field needs another look. Nothing was sent or saved.",
        "{number} fields need another look. Nothing was sent or saved.",
        number,
    )
    return Result("bad", sentence.format(number=number))


# --- the test ---


def sent(diagnosis: Diagnosis, settings: Settings, *, saved: bool) -> Result:
    """Return what came of a test that went well, and what to do next."""
    seconds = markup.seconds(sum(check.seconds for check in diagnosis.checks))
    sentence = _("Works: the test email is on its way to {address} ({seconds}); look also into the spam folder.")
    said = sentence.format(address=settings.address.shown, seconds=seconds)
    if not saved:
        said = f"{said} {_('Press Update to keep these settings.')}"
    number = len(diagnosis.checks)
    label = ngettext("{number} step", "{number} steps", number).format(number=number)
    if diagnosis.domain is None:
        return Result("good", said, markup.checks(diagnosis.checks), label)
    advised = diagnosis.domain.standing == "advice"
    if advised:
        said = f"{said} {_('Below stands what helps against the spam folder.')}"
    return Result(
        "good", said, markup.checks(diagnosis.checks) + markup.domain(diagnosis.domain), _("details"), opened=advised
    )


def stopped(diagnosis: Diagnosis) -> Result:
    """Return what a test that somebody stopped had done until then."""
    return Result("mind", _("Stopped. No test email was sent."), markup.checks(diagnosis.checks), _("details"))


def failed(diagnosis: Diagnosis, check: Check, settings: Settings, *, asks: bool, beside_field: bool) -> Result:
    """Return why a test failed, with its steps down to the one that failed, and what to hand to an administrator.

    `asks` is whether the form asks about the certificate that was shown; `beside_field` whether the hint stands there.
    """
    sentence = markup.without_reply(check.text, check.reply)
    if check.fingerprint:
        sentence = markup.without_end(sentence, check.fingerprint)  # it stands in the question, or below
    parts = [
        markup.paragraph(check.hint) if check.hint and beside_field else "",  # else it stands right above
        markup.said(check.reply, opened=True),
        markup.guide(check.guide),
    ]
    if check.fingerprint and not asks and isinstance(settings.server, (SmtpServer, Mailbox)):
        parts[1:1] = [
            markup.facts([(_("SHA-256 fingerprint"), check.fingerprint)]),
            _about_the_box(settings.server),
        ]
    details = markup.checks(diagnosis.checks, markup.joined(parts)) + support_report.section(diagnosis, settings)
    said = sentence if beside_field or not check.hint else f"{sentence} {check.hint}"
    return Result("bad", said, details, _("details"), opened=True)


def _about_the_box(server: SmtpServer | Mailbox) -> Markup:
    """Return how a certificate can be trusted while the box for that is not ticked."""
    if presets.established(server.host):
        return markup.NOTHING
    box = self_signed_for_mailbox() if isinstance(server, Mailbox) else _("Allow self-signed certificates")
    return markup.paragraph(
        _(
            "“{box}” is not ticked, so docmail accepts no certificate that it cannot verify. "
            "If the server is your own, tick it and test again: you can then compare the fingerprint."
        ).format(box=box)
    )


def certificate_question(failed: Check, trust: str) -> Markup:
    """Return the question whether to trust the certificate that a server showed, with the button `trust`."""
    facts = [(_("SHA-256 fingerprint"), failed.fingerprint or "")]
    if (shown := failed.certificate) is not None:
        names = ", ".join(shown.names)
        facts = [
            (_("Made out to"), f"{shown.subject} ({names})" if names and names != shown.subject else shown.subject),
            (_("Issued by"), shown.issuer),
            (
                _("Valid"),
                _("from {begin} to {end}").format(
                    begin=f"{shown.not_before:%Y-%m-%d}", end=f"{shown.not_after:%Y-%m-%d}"
                ),
            ),
            *facts,
        ]
    return markup.tag(
        "div",
        markup.paragraph(_("This is the certificate that the server shows:"))
        + markup.facts(facts)
        + markup.paragraph(compare())
        + markup.button(trust, _("Trust this certificate")),
        class_="dm-question",
    )


def compare() -> str:
    """Return what to do about a certificate that can be trusted: the box for that is ticked."""
    return _(
        "Ask your server's administrator for the fingerprint. Press Trust this certificate only if both are the same."
    )


def trusted() -> Result:
    """Return what to do after a certificate has been trusted."""
    return Result("idle", _("The certificate is trusted from now on: test again, then press Update."))


# --- the mailbox ---


def mailbox_untested() -> Result:
    """Return how things stand before a test of the mailbox."""
    return Result("idle", _("Not tested yet."))


def mailbox_works(diagnosis: Diagnosis) -> Result:
    """Return what came of a test of the mailbox that went well."""
    seconds = markup.seconds(sum(check.seconds for check in diagnosis.checks))
    said = _("Works: docmail can read bounces here and file copies ({seconds}).").format(seconds=seconds)
    number = len(diagnosis.checks)
    label = ngettext("{number} step", "{number} steps", number).format(number=number)
    return Result("good", said, markup.checks(diagnosis.checks), label)


def mailbox_stopped(diagnosis: Diagnosis) -> Result:
    """Return what a test of the mailbox that somebody stopped had done until then."""
    return Result("mind", _("Stopped."), markup.checks(diagnosis.checks), _("details"))


def mailbox_failed(diagnosis: Diagnosis, check: Check, settings: Settings, *, asks: bool, beside_field: bool) -> Result:
    """Return why a test of the mailbox failed; as `failed`."""
    return failed(diagnosis, check, settings.for_mailbox, asks=asks, beside_field=beside_field)


# --- saving ---


def saved(settings: Settings, place: Where | CredentialError | None, profile: str, *, rehearsal: bool) -> Result:
    """Return what saving has brought, and where the password is, or why it cannot be had."""
    if profile == profile_name(None) or rehearsal:
        now = _("Every document in a notebook now has an Email button.")
    else:
        now = _("To send with these settings, set DOCMAIL_PROFILE={name} before the kernel starts.").format(
            name=profile
        )
    if not settings.account.username:
        return Result("good", " ".join([_("Saved."), now]))
    if isinstance(place, Exception):
        return Result("mind", " ".join([_("Saved."), str(place)]), *_guide(place.guide))
    if place is None and settings.signs_in_with_token:
        return Result(
            "mind",
            " ".join([_("Saved."), _("Nobody has signed in for this account: press the button for it above."), now]),
        )
    if place is None:
        return Result(
            "mind",
            " ".join([_("Saved."), _("No password is stored for this account: type it and press Update again."), now]),
        )
    kept = _signed_in(place, settings) if settings.signs_in_with_token else _kept(place, settings, rehearsal=rehearsal)
    guide = None
    if place == "session" and not settings.signs_in_with_token and not rehearsal:
        failure = credentials.why_not_kept(settings)
        guide = failure.guide if failure else "JupyterHub"
    return Result("good", " ".join([_("Saved."), kept, now]), *_guide(guide))


def failure(exc: Exception) -> Result:
    """Return an exception as a person should meet it: what happened, what to do, what the server said, the guide."""
    if not isinstance(exc, DocmailError):
        return Result(
            "bad",
            " ".join(
                [
                    _("Something went wrong inside docmail."),
                    _("Please report it with these words: {error}").format(error=f"{type(exc).__name__}: {exc}"),
                ]
            ),
        )
    reply = getattr(exc, "reply", None)
    details = markup.said(reply, opened=True) + markup.guide(exc.guide)
    sentence = f"{markup.without_reply(exc.message, reply)} {exc.hint}".strip()
    return Result("bad", sentence, details, _("details") if details else "")


def _guide(title: str | None) -> tuple[Markup, str]:
    """Return the guide's section of this title as details, and what their button is called."""
    section = markup.guide_section(title)
    return section, _("What you can do") if section else ""


def without_kernel(profile: str, saved: Settings | None) -> Markup:
    """Return what stands in a notebook that is opened without a kernel: no address, and nothing secret."""
    title = _("Email settings, profile “{profile}”").format(profile=markup.without_addresses(profile))
    if saved is None:
        state = _("Nothing was saved when this was shown.")
    else:
        port = f":{saved.server.port}" if isinstance(saved.server, SmtpServer) else ""
        state = _("Saved: {server}.").format(server=f"{saved.account.host}{port}")
    return Markup("<p><b>{}</b><br>{} {}</p>").format(title, state, _("Run this cell to open the form."))


def signed_in(place: Where, settings: Settings) -> Markup:
    """Return where the sign-in is."""
    return markup.paragraph(_signed_in(place, settings))


def _signed_in(place: Where, settings: Settings) -> str:
    if place == "keyring":
        return _("The sign-in is in {keyring}.").format(keyring=credentials.keyring_in_words())
    if failure := credentials.why_not_kept(settings):
        return _not_kept(failure, _("The sign-in lasts until this kernel stops."))
    return _("The sign-in lasts until this kernel stops: there is no keyring here, or this is a rehearsal.")


def _not_kept(failure: CredentialError, then: str) -> str:
    """Return why a keyring that is there did not take a secret, what follows from that, and what to do."""
    cure = _("To keep it for longer, unlock the keyring and enter it again.")
    return f"{failure.message} {then} {cure}"


def _kept(place: Where, settings: Settings, *, rehearsal: bool) -> str:
    """Return where the password is."""
    if rehearsal:
        return _("This is a rehearsal: the password lasts until this kernel stops.")
    if place == "keyring":
        return _("The password is in {keyring}.").format(keyring=credentials.keyring_in_words())
    if place == "environment":
        return _("The password comes from the environment (DOCMAIL_PASSWORD).")
    if failure := credentials.why_not_kept(settings):
        return _not_kept(failure, _("The password lasts until this kernel stops."))
    return _("This machine has no keyring that docmail can use: the password lasts until this kernel stops.")
