"""The replies of providers that are known word by word: what each means, what to do, the field and the guide."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from docmail.errors import Kind
from docmail.language import _

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Known:
    """A reply that is known, and what it means."""

    reply: str
    """A regular expression for the reply as one line: "535 5.7.8 Username ..."."""
    kind: Kind
    say: Callable[[], tuple[str, str]]
    """The sentence and the hint; called when needed, in the language of that moment."""
    field: str | None = None
    guide: str | None = "Sending"
    host: str = ""
    """A regular expression for the server's name; empty for any server."""
    signs: str = ""
    """Words by which the provider is known behind any name: a relay, an alias, the sandbox."""

    def fits(self, line: str, host: str) -> bool:
        """Say whether a reply of this server is this one."""
        return bool(re.search(self.reply, line, re.IGNORECASE)) and bool(
            not self.host or re.search(self.host, host) or (self.signs and re.search(self.signs, line, re.IGNORECASE))
        )


_GOOGLE, _GOOGLE_SIGNS = r"\.(gmail|googlemail|google)\.com$", r"\bgsmtp\b|BadCredentials|support\.google\.com"
_MICROSOFT = r"\.(office365|outlook|office)\.com$"
_MICROSOFT_SIGNS = r"\.prod\.outlook\.com|aka\.ms/|5\.7\.139"
_YAHOO, _AOL = r"\.yahoo\.(com|[a-z]{2}|com\.[a-z]{2}|co\.[a-z]{2})$", r"\.aol\.com$"

# A limit of the account, said with 4yz as well: of a day or an hour, or of sending. A rate in a shorter time passes
# while the others wait, and is no limit; nor is what is said of a recipient.
_PERIOD = (
    r"^[45]\d\d (?!.*(\brecipient\b.{0,200}\b(has|have|is)\b|trying to (contact|reach)))"
    r"(?=.*(\b(daily|hourly|monthly|(per|a|an|each|this) (day|hour|month))\b|\b24[ -]?h))"
    r".*(\b(quota|limits?|exceed(s|ed)?|maximum|max)\b)"
)
_SENDING = (
    r"^4\d\d .*(\b(send(ing)?|sent|outgoing|outbound|submission)( messages?| e?-?mails?)? (limits?|quota)\b"
    r"|\b(exceeded|reached) .{0,40}\b(limits?|quota) (for|of|on) (send|sent|outgoing|outbound))"
)

# The first match counts. Sources: the providers' own pages and recorded replies, checked 2026-11-23.
REPLIES: tuple[Known, ...] = (
    # --- Google ---
    Known(
        r"534 5\.7\.9|InvalidSecondFactor|534 .*application-specific password",
        Kind.AUTH,
        lambda: (
            _("Gmail wants an app password here, not the password of your Google account."),
            _("Make an app password and paste it into Password."),
        ),
        "password",
        "Gmail",
    ),
    Known(
        r"535 .*(Username and Password not accepted|BadCredentials)",
        Kind.AUTH,
        lambda: (
            _("Gmail does not accept this username and password."),
            _("Paste an app password into Password (changing your Google password cancels older ones)."),
        ),
        "password",
        "Gmail",
        _GOOGLE,
        _GOOGLE_SIGNS,
    ),
    Known(
        r"534 5\.7\.14|534 .*log in (via|with) your web browser",
        Kind.AUTH,
        lambda: (
            _("Google wants you to sign in with a web browser first."),
            _("Sign in to this account in a browser, approve the attempt, and try again once."),
        ),
        "password",
        "Gmail",
    ),
    # --- Microsoft ---
    Known(
        r"53[05] .*SmtpClientAuthentication is disabled for the Mailbox",
        Kind.AUTH,
        lambda: (
            _("Sending mail with a password is switched off for this mailbox at Microsoft 365."),
            _("Ask your administrator to tick Authenticated SMTP: admin centre, your user, Mail, Manage email apps."),
        ),
        "password",
        "Microsoft 365",
    ),
    Known(
        r"53[05] .*(SmtpClientAuthentication is disabled|smtp_auth_disabled)",
        Kind.AUTH,
        lambda: (
            _("Your company's Microsoft 365 has switched off sign-in with a password for sending mail."),
            _("Ask your administrator to enable Authenticated SMTP for this mailbox."),
        ),
        "password",
        "Microsoft 365",
    ),
    Known(
        r"53[05] .*security defaults policy",
        Kind.AUTH,
        lambda: (
            _("The security defaults of your company's Microsoft 365 forbid sign-in with a password."),
            _("Choose Microsoft in the row “Sign in with”."),
        ),
        "password",
        "Microsoft 365",
    ),
    Known(
        r"535 .*basic authentication is disabled",
        Kind.AUTH,
        lambda: (
            _("Outlook.com no longer lets anybody sign in with a password."),
            _("Choose Microsoft in the row “Sign in with”."),
        ),
        "password",
        "Outlook.com",
        r"^smtp-mail\.outlook\.com$",
    ),
    Known(
        r"5\d\d .*basic authentication is (disabled|not supported)",
        Kind.AUTH,
        lambda: (
            _("Microsoft no longer lets this account sign in with a password."),
            _("Choose Microsoft in the row “Sign in with”."),
        ),
        "password",
        "Microsoft 365",
    ),
    Known(
        r"535 .*did not meet the criteria to be authenticated",
        Kind.AUTH,
        lambda: (
            _("Microsoft 365 does not let this sign-in pass: a rule of your company forbids it, or it is wrong."),
            _("Check Username and Password; if they are right, ask your administrator about conditional access."),
        ),
        "password",
        "Microsoft 365",
    ),
    Known(
        r"535 5\.7\.(3|139)\b",
        Kind.AUTH,
        lambda: (
            _("Microsoft 365 does not accept this username and password."),
            _("Check both; if they are right, ask your administrator whether Authenticated SMTP is allowed for you."),
        ),
        "password",
        "Microsoft 365",
        _MICROSOFT,
        _MICROSOFT_SIGNS,
    ),
    Known(
        r"432 4\.3\.2 .*concurrent connections",
        Kind.TEMPORARY,
        lambda: (
            _("This account has too many connections to the server at the same time."),
            _("Close other programs that send with it, wait a minute and try again."),
        ),
    ),
    # --- other providers' sign-in ---
    Known(
        r"535 .*does not have access rights to this service",
        Kind.AUTH,
        lambda: (
            _("This mailbox does not let mail programs in."),
            _("Allow mail programs in the settings of the mailbox, and make an app password."),
        ),
        "password",
        "Yandex Mail",
    ),
    Known(
        r"535 .*(AUTH005|Too many bad auth attempts)",
        Kind.AUTH,
        lambda: (
            _("AOL does not accept this password."),
            _("Make an app password and paste it into Password; waiting does not help."),
        ),
        "password",
        "AOL Mail",
        _AOL,
    ),
    Known(
        r"535 .*(AUTH005|Too many bad auth attempts)",
        Kind.AUTH,
        lambda: (
            _("Yahoo does not accept this password."),
            _("Make an app password and paste it into Password; waiting does not help."),
        ),
        "password",
        "Yahoo Mail",
        _YAHOO,
        r"AUTH005",
    ),
    Known(
        r"4\d\d .*(too many (login|sign-in|auth\w*) attempts)",
        Kind.TEMPORARY,
        lambda: (
            _("There were too many sign-ins at this account within a short time."),
            _("Wait some minutes before you try again; every further attempt can make it longer."),
        ),
    ),
    # --- limits ---
    Known(
        r"5\d\d 5\.2\.2\b|5\d\d .*mailbox .*(full|quota|limit)",
        Kind.RECIPIENT,
        lambda: (
            _("The recipient's mailbox is full."),
            _("Tell the recipient in another way, or send the document later."),
        ),
    ),
    Known(
        r"452 .*(4\.5\.3|too many recipients)",
        Kind.TEMPORARY,
        lambda: (
            _("The server takes no more recipients in one mail."),
            _("Send it to the others again, in another mail."),
        ),
    ),
    Known(
        r"55[24] .*(size|too (large|big))|552 5\.[23]\.[34]",
        Kind.MESSAGE,
        lambda: (
            _("The server finds this message too large."),
            _("Send a smaller document; in an email it grows by about 37 %."),
        ),
    ),
    # Elsewhere 5.4.6 means what RFC 3463 says: a loop on the way to this recipient.
    Known(
        r"550 5\.4\.6(?!.*\b(loop|hop))",
        Kind.LIMIT,
        lambda: (
            _("The provider finds that this account sends unusually much, and has stopped it."),
            _("Do not try again now: look at the provider's web page, and send the rest when it lets you."),
        ),
    ),
    Known(
        r"454 .*Throttling.*(rate|per second)",
        Kind.LIMIT,
        lambda: (
            _("The account sends faster than its provider allows."),
            _("Send the rest later, and more slowly."),
        ),
    ),
    Known(
        r"550 5\.4\.5|550 5\.1\.90|55\d .*(quota|limit) exceeded|454 .*Throttling|QuotaExceeded"
        rf"|{_PERIOD}|{_SENDING}",
        Kind.LIMIT,
        lambda: (
            _("The server's limit on how much this account may send is reached."),
            _("Send the rest later; most limits end within 24 hours."),
        ),
    ),
    Known(
        r"451 .*Maximum credits exceeded",
        Kind.LIMIT,
        lambda: (
            _("The provider's plan for this account is used up."),
            _("Enlarge the plan, or wait for its next period."),
        ),
    ),
    # --- the connection ---
    Known(
        r"53[08] .*(STARTTLS|Encryption required)",
        Kind.CONFIG,
        lambda: (
            _("The server wants an encrypted connection first."),
            _("Choose STARTTLS, or port 465 with TLS."),
        ),
        "security",
        "Ports",
    ),
    Known(
        r"530 5\.7\.(0|57)|530 5\.5\.1|(530|550) .*(authentication (is )?required|not authenticated|without auth)",
        Kind.AUTH,
        lambda: (
            _("The server wants a sign-in before it takes mail."),
            _("Fill in Username and Password."),
        ),
        "username",
        "Passwords",
    ),
    # --- whose address it is ---
    Known(
        r"554 .*Email address is not verified",
        Kind.CONFIG,
        lambda: (
            _("Amazon SES sends from verified addresses only, and in its sandbox also only to them."),
            _("Verify the address that it names, or ask Amazon to move your account out of the sandbox."),
        ),
        "email_address",
        "Amazon SES",
    ),
    Known(
        r"550 5\.7\.60|554 5\.2\.252|SendAsDenied|55[013] .*(not owned by (auth )?user|From: address not verified"
        r"|not one of your addresses|Not authori[sz]ed to send from|Relaying disallowed as"
        r"|does not match a verified Sender|Sender address rejected)",
        Kind.CONFIG,
        lambda: (
            _("The server does not let this account send from this address."),
            _("Use the account's own address as the sender's, or have the right to send as it granted."),
        ),
        "email_address",
        "Addresses",
    ),
    # --- what is sent ---
    Known(
        r"552 5\.7\.0|55\d .*(potential security issue|(illegal|prohibited|forbidden|banned) attachment)",
        Kind.MESSAGE,
        lambda: (
            _("The server takes no attachment of this kind."),
            _("Send a PDF, or put the file where the recipient can fetch it; programs and archives are refused."),
        ),
    ),
    Known(
        r"4\d\d .*gr[ea]y-?list",
        Kind.TEMPORARY,
        lambda: (
            _("The recipient's server wants to see the mail a second time, as a means against spam."),
            _("Send it again in a few minutes."),
        ),
    ),
    Known(
        r"55\d .*(\bspam\b|blocked using|block ?list|black ?list|unsolicited|reputation)",
        Kind.MESSAGE,
        lambda: (
            _("The server takes this message, or this network, for a source of spam."),
            _("Write a real subject and text; if it goes on, ask your provider whether your address is on a list."),
        ),
    ),
)
