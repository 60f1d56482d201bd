"""What a look at a domain's DNS brings: a line for each record, and a letter to the person who can change them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from docmail.diagnosis.autoconfig import shown_domain
from docmail.errors import Word
from docmail.language import _


class Standing(Word):
    """How one of the records stands: in order, something to change, or not known."""

    GOOD = "good"
    ADVICE = "advice"
    UNKNOWN = "unknown"


class Subject(Word):
    """What a line is about."""

    DOMAIN = "domain"
    SPF = "SPF"
    DKIM = "DKIM"
    DMARC = "DMARC"
    MX = "MX"


@dataclass(frozen=True)
class DomainCheck:
    """One line of a report: what it is about, how that stands, and what was found.

    `request` is what the person who keeps the DNS is asked to do, with the record as it should be; empty if nothing.
    """

    subject: Subject
    standing: Standing
    text: str
    request: str = ""


@dataclass(frozen=True)
class DomainReport:
    """What a domain's DNS says about mails from it through a `provider` (empty: not known).

    `checks` are its lines, in the order in which they are shown; `provider_id` is the id of the provider's preset.

    >>> report = docmail.diagnosis.look_at_domain("example.com")
    >>> report.domain
    'example.com'
    """

    domain: str
    provider: str
    checks: tuple[DomainCheck, ...]
    provider_id: str = field(default="", repr=False)

    @property
    def standing(self) -> Standing:
        """How the whole stands: advice if there is any, good if every line is."""
        found = {check.standing for check in self.checks}
        return next((each for each in (Standing.ADVICE, Standing.UNKNOWN) if each in found), Standing.GOOD)

    @property
    def letter(self) -> str:
        """What to send to the person who keeps the DNS, with the records as they should be; empty if nothing."""
        requests = [check.request for check in self.checks if check.request]
        if not requests:
            return ""
        domain = shown_domain(self.domain)
        who = _("To the person who keeps the DNS of {domain}:")
        if self.provider:
            why = _(
                "I send emails from addresses of {domain} through {provider}. So that they do not land in spam "
                "folders, please change the following records. This is how my computer's DNS server shows them on "
                "{date}; should the public ones differ, those count."
            )
        else:
            why = _(
                "So that emails from addresses of {domain} do not land in spam folders, please change the following "
                "records. This is how my computer's DNS server shows them on {date}; should the public ones differ, "
                "those count."
            )
        option = f" --provider {self.provider_id}" if self.provider_id else ""
        after = _("Afterwards this command shows whether all is well: {command}")
        said = {"domain": domain, "provider": self.provider, "date": time.strftime("%Y-%m-%d")}
        return "\n\n".join(
            [
                who.format(**said),
                why.format(**said),
                *(f"{number}. {request}" for number, request in enumerate(requests, 1)),
                after.format(command=f"docmail domain {self.domain}{option}"),
            ]
        )

    def __repr__(self) -> str:
        counts = {each: sum(check.standing is each for check in self.checks) for each in Standing}
        return f"<DomainReport {self.domain}: {', '.join(f'{number} {each}' for each, number in counts.items())}>"
