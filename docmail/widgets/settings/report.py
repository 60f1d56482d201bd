"""What the settings form says about itself, in HTML: its heading, and the report below its buttons."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from docmail import credentials
from docmail.language import _, ngettext
from docmail.settings import SmtpServer, profile_name
from docmail.widgets.parts import markup

if TYPE_CHECKING:
    from docmail.credentials import Where
    from docmail.diagnosis import Check, Diagnosis
    from docmail.errors import CredentialError
    from docmail.settings import Settings


def heading(profile: str, state: str, *, rehearsal: bool) -> str:
    """Return the form's title, and what is being edited; the state is "saved", "changed" or "not saved yet"."""
    states = {"saved": _("saved"), "changed": _("changed, not saved yet"), "not saved yet": _("not saved yet")}
    parts = [_("profile: {name}").format(name=profile), states[state]]
    if rehearsal:
        parts.insert(0, _("rehearsal: nothing here touches your own settings"))
    title, right = escape(_("Email settings")), escape(" · ".join(parts))
    return f'<div class="dm-heading"><b>{title}</b><span>{right}</span></div>'


def problems(number: int) -> str:
    """Return how many fields need another look."""
    sentence = ngettext(
        "One field needs another look; nothing was sent or saved.",
        "{number} fields need another look; nothing was sent or saved.",
        number,
    )
    return markup.box("bad", markup.bad(sentence.format(number=number)))


def sent(diagnosis: Diagnosis, settings: Settings, *, saved: bool) -> str:
    """Return the steps of a test that went well, and what to do next."""
    seconds = markup.seconds(sum(check.seconds for check in diagnosis.checks))
    sentence = _("The test email is on its way to {address} ({seconds}).")
    return markup.checks(diagnosis.checks) + markup.box(
        "good",
        markup.good(sentence.format(address=settings.address.shown, seconds=seconds)),
        markup.paragraph(_("Look into your inbox, and into the spam folder.")),
        "" if saved else markup.paragraph(_("Press Update to keep these settings.")),
    )


def stopped(diagnosis: Diagnosis) -> str:
    """Return the steps of a test that somebody stopped."""
    sentence = markup.paragraph(_("Stopped. No test email was sent."))
    return markup.checks(diagnosis.checks) + markup.box("mind", sentence)


def failed(diagnosis: Diagnosis, check: Check, hint: str, *, asks: bool) -> str:
    """Return the steps of a test up to the one that failed, and why; `asks` adds the question about a certificate."""
    sentence = markup.without_reply(check.text, check.reply)
    if asks and check.fingerprint:
        sentence = markup.without_end(sentence, check.fingerprint)  # it stands in the question
    return (
        markup.checks(diagnosis.checks)
        + markup.box(
            "bad",
            markup.bad(sentence),
            markup.paragraph(hint) if hint else "",
            markup.said(check.reply),
            markup.guide(check.guide),
        )
        + (certificate_question(check) if asks else "")
    )


def certificate_question(failed: Check) -> str:
    """Return the question whether to trust the certificate that a server showed, with what is to be compared."""
    facts = [(_("SHA-256 fingerprint"), failed.fingerprint or "")]
    if (shown := failed.certificate) is not None:
        names = ", ".join(shown.names)
        facts = [
            (_("Made out to"), f"{shown.subject} ({names})" if names else shown.subject),
            (_("Issued by"), shown.issuer),
            (
                _("Valid"),
                _("from {begin} to {end}").format(
                    begin=f"{shown.not_before:%Y-%m-%d}", end=f"{shown.not_after:%Y-%m-%d}"
                ),
            ),
            *facts,
        ]
    listed = "".join(f"<dt>{escape(what)}</dt><dd>{escape(fact)}</dd>" for what, fact in facts)
    return markup.box(
        "mind",
        markup.paragraph(_("This is the certificate that the server shows:")),
        f'<dl class="dm-facts-list">{listed}</dl>',
        markup.paragraph(
            _(
                "Compare the fingerprint with the one your server's administrator gives you. Trust the certificate "
                "only if they are equal."
            )
        ),
    )


def trusted() -> str:
    """Return what to do after a certificate has been trusted."""
    return markup.box("mind", markup.paragraph(_("Test again: this certificate is now trusted.")))


def saved(settings: Settings, place: Where | CredentialError | None, profile: str, *, rehearsal: bool) -> str:
    """Return what saving has brought, and where the password is, or why it cannot be had."""
    if profile == profile_name(None) or rehearsal:
        now = _("Every PDF that docmail shows in a notebook now has an Email button.")
    else:
        now = _("To send with these settings, set DOCMAIL_PROFILE={name} before the kernel starts.").format(
            name=profile
        )
    parts = [markup.good(_("Saved. {what_now}").format(what_now=now))]
    if not settings.account.username:
        pass
    elif isinstance(place, Exception):
        parts += [markup.paragraph(str(place)), markup.guide(place.guide)]
    elif place is None and settings.signs_in_with_token:
        parts.append(markup.paragraph(_("Nobody has signed in for this account: press the button for it above.")))
    elif place is None:
        parts.append(markup.paragraph(_("No password is stored for this account: type it and press Update again.")))
    else:
        parts.append(signed_in(place) if settings.signs_in_with_token else _kept(place, rehearsal=rehearsal))
    return markup.box("good", *parts)


def without_kernel(profile: str, saved: Settings | None) -> str:
    """Return what stands in a notebook that is opened without a kernel: no address, and nothing secret."""
    title = _("Email settings, profile “{profile}”").format(profile=markup.without_addresses(profile))
    if saved is None:
        state = _("Nothing was saved when this was shown.")
    else:
        port = f":{saved.server.port}" if isinstance(saved.server, SmtpServer) else ""
        state = _("Saved: {server}.").format(server=f"{saved.account.host}{port}")
    live = _("Run this cell to open the form.")
    return f"<p><b>{escape(title)}</b><br>{escape(state)} {escape(live)}</p>"


def signed_in(place: Where) -> str:
    """Return where the sign-in is."""
    if place == "keyring":
        return markup.paragraph(_("The sign-in is in {keyring}.").format(keyring=credentials.keyring_in_words()))
    return markup.paragraph(
        _("The sign-in lasts until this kernel stops: there is no keyring here, or this is a rehearsal.")
    )


def _kept(place: Where, *, rehearsal: bool) -> str:
    """Return where the password is."""
    if rehearsal:
        return markup.paragraph(_("This is a rehearsal: the password lasts until this kernel stops."))
    if place == "keyring":
        return markup.paragraph(_("The password is in {keyring}.").format(keyring=credentials.keyring_in_words()))
    if place == "environment":
        return markup.paragraph(_("The password comes from the environment (DOCMAIL_PASSWORD)."))
    sentence = _("This machine has no keyring that docmail can use: the password lasts until this kernel stops.")
    return markup.paragraph(sentence) + markup.guide("JupyterHub", _("What you can do"))
