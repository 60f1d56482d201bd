"""Judges the DNS records of one domain for one sender, and puts each into a sentence with what to change.

Whether a mail passes DMARC is decided by SPF and DKIM together, so they are looked at first and their outcome is kept.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from docmail.addresses import is_loopback
from docmail.diagnosis import spf, spf_terms
from docmail.diagnosis.autoconfig import shown_domain
from docmail.diagnosis.domain_report import DomainCheck, DomainReport, Standing, Subject
from docmail.diagnosis.policy import Several, policy_of
from docmail.diagnosis.records import NotLookedUp
from docmail.diagnosis.signing_keys import ADVISED, SHORTEST, KeyState, has_none, signing_key
from docmail.diagnosis.spf import Outcome, Senders
from docmail.diagnosis.spf_terms import Fault
from docmail.errors import listed
from docmail.language import _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docmail.diagnosis.policy import Policy
    from docmail.diagnosis.records import LookUps
    from docmail.diagnosis.signing_keys import SigningKey
    from docmail.presets import Preset

# A server with such an address sends from another one, if it sends to recipients at all.
_INNER_NETWORKS = [
    ipaddress.ip_network(each)
    for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fe80::/10")
]
_NEARLY_SPF = re.compile(r"\W*v\s*=\s*spf1\b", re.IGNORECASE)
_NUMBER = re.compile(r"[\d.]+|.*:.*")
_SHOWN = 200  # characters of a record that docmail cannot read


@dataclass
class Look:
    """One examination: what is known of a sender, and what is found out on the way."""

    domain: str
    preset: Preset | None
    provider: str
    host: str
    own: Preset | None
    """The provider whose domain it is, as gmail.com is Gmail's."""
    account: Preset | None
    """Another provider at the same server, whose account it is: a personal Gmail account for a company's address."""
    look_ups: LookUps
    spf_passes: bool | None = None
    dkim_passes: bool | None = None

    def report(self, *, by_proxy: bool) -> DomainReport:
        """Look everything up, or nothing, where the way to the server leads through a proxy."""
        checks: list[DomainCheck] = []
        if by_proxy:
            checks = [self._proxied()]
        else:
            for subject, part in self._parts():
                try:
                    checks += part()
                except NotLookedUp as exc:
                    text = _("{subject} of {domain} could not be looked up: {reason}")
                    checks.append(_unknown(subject, self._said(text, subject=subject, reason=exc)))
        provider_id = self.preset.id if self.preset and not self.preset.organisation else ""
        return DomainReport(self.domain, self.provider, tuple(checks), provider_id)

    def _parts(self) -> Iterator[tuple[Subject, Callable[[], list[DomainCheck]]]]:
        if self.own is not None:
            yield Subject.DOMAIN, partial(self._of_a_provider, self.own)
            return
        if not self._sees_the_internet():
            yield Subject.DOMAIN, self._blind
            return
        try:
            exists = self.look_ups.of(self.domain, "MX").exists
        except NotLookedUp:
            exists = True
        if not exists:
            yield Subject.DOMAIN, self._missing
            return
        if self.account is not None:
            yield Subject.DOMAIN, partial(self._foreign_account, self.account)
        else:
            yield Subject.SPF, self._spf
        yield Subject.DKIM, self._dkim
        yield Subject.DMARC, self._dmarc
        yield Subject.MX, self._mx

    def _said(self, sentence: str, **more: object) -> str:
        return sentence.format(
            domain=shown_domain(self.domain), provider=self.provider, host=self.host or self.provider, **more
        )

    # --- whose domain it is ---

    def _proxied(self) -> DomainCheck:
        sentence = _(
            "SOCKS5_PROXY leads to the server, so docmail asks no DNS server from here: the records of {domain} were "
            "not looked up."
        )
        return _unknown(Subject.DOMAIN, self._said(sentence))

    def _sees_the_internet(self) -> bool:
        """Say whether the DNS server knows more than a company's own names: of any others it says there are none."""
        try:
            return bool(self.look_ups.of(self.domain.rpartition(".")[2], "NS").values)
        except NotLookedUp:
            return True  # that is said of each record

    def _blind(self) -> list[DomainCheck]:
        sentence = _(
            "Your DNS server knows only names of its own network, so the public records of {domain} could not be "
            "looked up."
        )
        return [_unknown(Subject.DOMAIN, self._said(sentence))]

    def _missing(self) -> list[DomainCheck]:
        sentence = _("Your DNS server knows no domain {domain}: most servers refuse mails from it. Check its spelling.")
        return [_advice(Subject.DOMAIN, self._said(sentence))]

    def _of_a_provider(self, provider: Preset) -> list[DomainCheck]:
        """Judge gmail.com and its like, whose DNS nobody but the provider keeps."""
        owner = _(provider.name)
        if self.preset is None and not self.host and not self.provider:
            sentence = _("{domain} is a domain of {owner}, which takes care of its records.")
            return [_good(Subject.DOMAIN, self._said(sentence, owner=owner))]
        if self.preset is not None and (self.preset.id == provider.id or {*self.preset.servers} & {*provider.servers}):
            sentence = _("{domain} is a domain of {owner}, which sends the mails itself and keeps the records.")
            return [_good(Subject.DOMAIN, self._said(sentence, owner=owner))]
        sentence = _(
            "{domain} is a domain of {owner}, and your mails go through {provider}: nobody can confirm that they come "
            "from there, and the DNS is not yours to change. Send through {owner}, or from an address of a domain of "
            "your own."
        )
        checks = [_advice(Subject.DOMAIN, self._said(sentence, owner=owner))]
        try:
            policy = policy_of(self.look_ups, self.domain)
        except NotLookedUp:
            policy = None
        if policy is not None and not isinstance(policy, Several) and policy.requested != "none":
            checks.append(_advice(Subject.DMARC, self._failing(policy)))
        return checks

    def _foreign_account(self, provider: Preset) -> list[DomainCheck]:
        self.spf_passes = self.dkim_passes = False
        sentence = _(
            "You sign in with a personal account of {owner}: it confirms mails for its own domain, and not for "
            "{domain}. Use an account of {domain}, or the address of your account."
        )
        return [_advice(Subject.DOMAIN, self._said(sentence, owner=_(provider.name)))]

    # --- SPF ---

    def _spf(self) -> list[DomainCheck]:
        senders = self._senders()
        found = spf.judge(self.look_ups, self.domain, senders)
        entries = self._entries()
        checks = [self._fault(fault, about, found, entries) for fault, about in found.faults]
        if found.outcome is Outcome.BROKEN:
            self.spf_passes = False
        elif found.outcome is Outcome.NONE:
            self.spf_passes = False
            checks.append(self._without_spf(entries))
        elif self._returns_elsewhere:
            sentence = _(
                "{domain} has an SPF record. {provider} sends with a return address of its own, so what counts is its "
                "DKIM key."
            )
            checks.append(_good(Subject.SPF, self._said(sentence)))
        else:
            checks.append(self._judged(found, senders, entries))
        return checks

    @property
    def _returns_elsewhere(self) -> bool:
        """Whether the provider is a mail service: bounces return to it, and SPF is asked of its own domain."""
        return self.preset is not None and self.preset.password == "api-key"  # noqa: S105 - a kind of password

    def _senders(self) -> Senders:
        if self.preset is not None:
            return Senders(includes=tuple(filter(None, [self.preset.spf_include])))
        if not self.host or is_loopback(self.host):
            return Senders()
        try:
            literal = [str(ipaddress.ip_address(self.host))]
        except ValueError:
            literal = [*self.look_ups.of(self.host, "A").values, *self.look_ups.of(self.host, "AAAA").values]
        networks = [ipaddress.ip_network(each) for each in literal]
        if any(each.overlaps(inner) for each in networks for inner in _INNER_NETWORKS if each.version == inner.version):
            return Senders()
        return Senders(networks=tuple(networks))

    def _entries(self) -> list[str]:
        """Return what an SPF record should have for these senders, as far as docmail knows."""
        if self.preset is not None:
            return [f"include:{self.preset.spf_include}"] if self.preset.spf_include else []
        if not self.host or is_loopback(self.host):
            return []
        try:
            number = ipaddress.ip_address(self.host)
        except ValueError:
            return [f"a:{self.host}"]
        return [f"ip{number.version}:{number}"]

    def _judged(self, found: spf.Spf, senders: Senders, entries: list[str]) -> DomainCheck:
        if found.outcome is Outcome.PASS:
            self.spf_passes = True
            return _good(Subject.SPF, self._said(_("SPF of {domain} allows {provider}.")))
        if not senders.known:
            if not self.provider:
                return _good(Subject.SPF, self._said(_("{domain} has an SPF record: {record}"), record=found.record))
            sentence = _(
                "{domain} has an SPF record, but docmail does not know what it must contain for {provider}: {record}"
            )
            return _unknown(Subject.SPF, self._said(sentence, record=found.record))
        if found.outcome is Outcome.UNKNOWN:
            sentence = _(
                "The SPF record of {domain} decides mail by mail (“{term}”), so docmail cannot judge whether it allows "
                "{provider}."
            )
            return _unknown(Subject.SPF, self._said(sentence, term=found.undecided))
        record = spf_terms.with_entries(found.record, entries)
        if self.preset is None:
            sentence = _(
                "The SPF record of {domain} does not name {host}. If that server hands mails over to the recipients "
                "itself, it should: its administrator knows."
            )
            return _unknown(Subject.SPF, self._said(sentence), self._replacing(found.record, record))
        self.spf_passes = None if found.outcome is Outcome.PARTLY else False
        sentences = {
            Outcome.PARTLY: _(
                "SPF of {domain} allows some servers of {provider} by their addresses, and not all: they have changed."
            ),
            Outcome.FAIL: _("SPF of {domain} forbids {provider} to send: servers may refuse the mails."),
            Outcome.SOFTFAIL: _("SPF of {domain} does not name {provider}: servers take its mails for suspicious."),
        }
        sentence = sentences.get(found.outcome, _("SPF of {domain} does not name {provider}."))
        more = "" if found.look_ups < spf.MAX_LOOK_UPS else self._many(found.look_ups + 1)
        return _advice(Subject.SPF, self._said(sentence), self._replacing(found.record, record) + more)

    def _without_spf(self, entries: list[str]) -> DomainCheck:
        text = self._said(_("{domain} has no SPF record, which says who may send in its name."))
        near = (each for each in self.look_ups.of(self.domain, "TXT").values if _NEARLY_SPF.match(each))
        if found := next(near, ""):
            sentence = _(
                "A TXT record of {domain} is meant for SPF and does not count, because it must begin with v=spf1 and a "
                "blank, without quotation marks: {found}"
            )
            text = self._said(sentence, found=found[:_SHOWN])
        if not entries:
            sentence = _(
                "{domain} has no SPF record. Please publish one: a TXT record that begins with v=spf1 and has the "
                "entries of all servers that send mail for the domain."
            )
            return _advice(Subject.SPF, text, self._said(sentence))
        sentence = _(
            "{domain} has no SPF record. Please publish this TXT record, with the entries of all other servers that "
            "send mail for the domain:\n   {record}"
        )
        record = spf_terms.with_entries(f"{spf_terms.VERSION} ~all", entries)
        return _advice(Subject.SPF, text, self._said(sentence, record=record))

    def _replacing(self, before: str, after: str) -> str:
        sentence = _(
            "Please change the SPF record of {domain} (TXT), of which there must be only one, from\n   {before}\nto\n"
            "   {after}"
        )
        return self._said(sentence, before=before, after=after)

    def _many(self, number: int) -> str:
        sentence = _("It then takes about {number} look-ups, and 10 are allowed: remove entries that are not used.")
        return f"\n   {self._said(sentence, number=number)}"

    def _fault(self, fault: Fault, about: str, found: spf.Spf, entries: list[str]) -> DomainCheck:
        texts = {
            Fault.SEVERAL: _("{domain} has more than one SPF record, so that none of them counts."),
            Fault.TERM: _("The SPF record of {domain} cannot be read at “{about}”, so that it does not count."),
            Fault.EMPTY_INCLUDE: _("The SPF record of {domain} refers with “{about}” to a domain that has none."),
            Fault.LOOPS: _("The SPF record of {domain} leads in a circle at {about}, so that it does not count."),
            Fault.LOOK_UPS: _(
                "The SPF record of {domain} takes up to {about} look-ups; servers give up after 10, and it then does "
                "not count."
            ),
            Fault.VOID: _(
                "{about} names in the SPF record of {domain} do not exist; many servers give up after the second."
            ),
            Fault.EXCHANGERS: _("The SPF record of {domain} refers to the MX of {about}, which are too many."),
            Fault.ANYONE: _("The SPF record of {domain} allows everybody to send in its name (“{about}”)."),
        }
        text = self._said(texts[fault], about=about)
        elsewhere = fault is Fault.SEVERAL and about.lower() != str(len(found.records))
        if elsewhere:
            text = self._said(
                _("The SPF record of {domain} refers to {about}, which has more than one, so that it does not count."),
                about=about,
            )
        listing = "\n".join(f"   {record}" for record in found.records)
        if fault is Fault.SEVERAL and not elsewhere and (one := spf_terms.merged(found.records)):
            sentence = _(
                "{domain} has several SPF records (TXT), so that none counts:\n{listing}\nPlease replace them by this "
                "one:\n   {record}"
            )
            return _advice(
                Subject.SPF, text, self._said(sentence, listing=listing, record=spf_terms.with_entries(one, entries))
            )
        if fault is Fault.ANYONE and found.record != spf_terms.without_anyone(found.record):
            record = spf_terms.without_anyone(found.record)
            return _advice(Subject.SPF, text, self._replacing(found.record, spf_terms.with_entries(record, entries)))
        sentence = _("{text} Please correct it; it is now\n{listing}")
        return _advice(Subject.SPF, text, sentence.format(text=text, listing=listing))

    # --- DKIM ---

    def _dkim(self) -> list[DomainCheck]:
        if self.account is not None:
            return []
        selectors = self.preset.dkim_selectors if self.preset is not None else ()
        keys = [signing_key(self.look_ups, self.domain, each) for each in selectors]
        if good := next((key for key in keys if key.state is KeyState.GOOD), None):
            self.dkim_passes = True
            sentence = _("The DKIM key of {provider} is in place ({selector}).")
            if 0 < good.bits < ADVISED:
                sentence = _(
                    "The DKIM key of {provider} is in place ({selector}), with {bits} bits; 2048 are recommended."
                )
            return [_good(Subject.DKIM, self._said(sentence, selector=good.selector, bits=good.bits))]
        if bad := next((key for key in keys if key.state is not KeyState.ABSENT), None):
            self.dkim_passes = False
            return [self._bad_key(bad)]
        if keys:
            return [self._no_key(listed([key.selector for key in keys], ", "))]
        if not self.provider:
            return []
        sentence = _(
            "docmail does not know under which name {provider} keeps its DKIM key. Open the source of the test email "
            "that arrived: dkim=pass in it says that all is well."
        )
        return [_unknown(Subject.DKIM, self._said(sentence))]

    def _bad_key(self, key: SigningKey) -> DomainCheck:
        texts = {
            KeyState.REVOKED: _("The DKIM key {name} is revoked: it is empty."),
            KeyState.SHORT: _("The DKIM key {name} has {bits} bits; less than {least} count for nothing."),
            KeyState.DAMAGED: _("The DKIM key {name} cannot be read."),
            KeyState.DANGLING: _("{name} leads to {alias}, where there is no DKIM key."),
        }
        said = {"name": key.name, "bits": key.bits, "least": SHORTEST, "alias": key.alias}
        text = self._said(texts[key.state], **said)
        sentence = _("{text} Please create a new key at {provider}, and publish it as {provider} shows it.")
        return _advice(Subject.DKIM, text, self._said(sentence, text=text))

    def _no_key(self, names: str) -> DomainCheck:
        if above := self._signed_above():
            sentence = _(
                "{provider} has a DKIM key at {above}, and none at {domain}. Open the source of the test email that "
                "arrived: dkim=pass in it says that all is well."
            )
            return _unknown(Subject.DKIM, self._said(sentence, above=above))
        if has_none(self.look_ups, self.domain):
            self.dkim_passes = False
            text = self._said(_("{domain} has no DKIM key: {provider} does not sign its mails with this domain."))
            sentence = _("Please switch on DKIM for {domain} at {provider}, and publish the record that it shows.")
            return _advice(Subject.DKIM, text, self._said(sentence))
        sentence = _(
            "{domain} has no DKIM key of {provider} under the usual names ({names}); it may have another name. Open "
            "the source of the test email that arrived: dkim=pass in it says that all is well."
        )
        return _unknown(Subject.DKIM, self._said(sentence, names=names))

    def _signed_above(self) -> str:
        """Return the domain above that has the provider's key, where its signature is as good as the domain's own."""
        policy = policy_of(self.look_ups, self.domain)
        if policy is None or isinstance(policy, Several) or policy.strict_dkim or self.preset is None:
            return ""
        above = policy.organisation
        if above == self.domain:
            return ""
        keys = (signing_key(self.look_ups, above, each) for each in self.preset.dkim_selectors)
        return above if any(key.state is KeyState.GOOD for key in keys) else ""

    # --- DMARC ---

    def _dmarc(self) -> list[DomainCheck]:
        policy = policy_of(self.look_ups, self.domain)
        if isinstance(policy, Several):
            text = self._said(
                _("{owner} has more than one DMARC record, so that none of them counts."), owner=policy.owner
            )
            sentence = _("_dmarc.{owner} has several DMARC records (TXT). Please keep only one of them:\n{listing}")
            listing = "\n".join(f"   {record}" for record in policy.records)
            return [_advice(Subject.DMARC, text, sentence.format(owner=policy.owner, listing=listing))]
        if policy is None:
            text = self._said(
                _(
                    "{domain} has no DMARC record. Gmail, Yahoo and Outlook.com require one of those who send 5,000 "
                    "mails a day."
                )
            )
            sentence = _("Please publish this TXT record as _dmarc.{domain}:\n   v=DMARC1; p=none")
            return [_advice(Subject.DMARC, text, self._said(sentence))]
        if not policy.readable:
            text = self._said(
                _("The DMARC record of {owner} cannot be read, so that it does not count."), owner=policy.owner
            )
            sentence = _(
                "{text} It is now\n   {record}\nPlease let it begin with “v=DMARC1;” and name a policy: p=none, "
                "p=quarantine or p=reject."
            )
            return [_advice(Subject.DMARC, text, sentence.format(text=text, record=policy.record))]
        if policy.wrong:
            text = self._said(
                _("The DMARC record of {owner} asks for “{wrong}”, which nobody knows."),
                owner=policy.owner,
                wrong=policy.wrong,
            )
            sentence = _("{text} It is now\n   {record}\nPlease write p=none, p=quarantine or p=reject.")
            return [_advice(Subject.DMARC, text, sentence.format(text=text, record=policy.record))]
        return [self._held_against(policy)]

    def _held_against(self, policy: Policy) -> DomainCheck:
        """Say what a policy means for these mails; one of SPF and DKIM is enough to pass."""
        if self.dkim_passes or (self.spf_passes and not self._returns_elsewhere):
            how = "DKIM" if self.dkim_passes else "SPF"
            sentence = _("DMARC of {domain} is met by {how} (p={policy}).")
            return _good(Subject.DMARC, self._said(sentence, how=how, policy=policy.requested))
        if not self.provider:
            sentence = _("{domain} has a DMARC record (p={policy}).")
            return _good(Subject.DMARC, self._said(sentence, policy=policy.requested))
        spf_fails = self.spf_passes is False or self._returns_elsewhere
        if spf_fails and self.dkim_passes is False:
            return _advice(Subject.DMARC, self._failing(policy))
        sentences = {
            "none": _("{domain} has a DMARC record (p=none). Whether {provider} meets it, docmail cannot judge."),
            "quarantine": _(
                "DMARC of {domain} sends mails to the spam folder that neither SPF nor DKIM confirms. Whether those "
                "through {provider} are confirmed, docmail cannot judge: look for dmarc=pass in the source of the test "
                "email that arrived."
            ),
            "reject": _(
                "DMARC of {domain} has mails refused that neither SPF nor DKIM confirms. Whether those through "
                "{provider} are confirmed, docmail cannot judge: look for dmarc=pass in the source of the test email "
                "that arrived."
            ),
        }
        return _unknown(Subject.DMARC, self._said(sentences[policy.requested]))

    def _failing(self, policy: Policy) -> str:
        sentences = {
            "none": _(
                "Neither SPF nor DKIM confirms mails of {domain} through {provider}. Its DMARC asks for nothing "
                "(p=none), but recipients' servers mind."
            ),
            "quarantine": _(
                "Neither SPF nor DKIM confirms mails of {domain} through {provider}, and its DMARC sends such mails to "
                "the spam folder (p=quarantine)."
            ),
            "reject": _(
                "Neither SPF nor DKIM confirms mails of {domain} through {provider}, and its DMARC has such mails "
                "refused (p=reject)."
            ),
        }
        said = self._said(sentences[policy.requested])
        if policy.share < 100 and policy.requested != "none":  # noqa: PLR2004 - percent
            said = f"{said} {_('So far that is for {share} % of them.').format(share=policy.share)}"
        return said

    # --- MX ---

    def _mx(self) -> list[DomainCheck]:
        hosts = [value.partition(" ")[2].rstrip(".") for value in self.look_ups.of(self.domain, "MX").values]
        if hosts == [""]:  # RFC 7505
            sentence = _(
                "{domain} declares that it takes no mail (a null MX): replies and bounces cannot arrive, and servers "
                "may refuse mails from it."
            )
            return [_advice(Subject.MX, self._said(sentence))]
        named = [host for host in hosts if host and not is_loopback(host) and not _NUMBER.fullmatch(host)]
        if hosts and not named:
            sentence = _("The MX record of {domain} names {mx}, which is no server that others reach by its name.")
            request = _("Please publish an MX record of {domain} that names the server which receives its mail.")
            return [_advice(Subject.MX, self._said(sentence, mx=hosts[0]), self._said(request))]
        if hosts:
            return [_good(Subject.MX, self._said(_("{domain} receives its mail at {mx}."), mx=named[0]))]
        if self.look_ups.of(self.domain, "A").values or self.look_ups.of(self.domain, "AAAA").values:
            sentence = _("{domain} has no MX record: replies and bounces go to its web server, if that takes mail.")
        else:
            sentence = _("{domain} has no MX record: replies and bounces cannot arrive.")
        request = _("Please publish an MX record of {domain} that names the server which receives its mail.")
        return [_advice(Subject.MX, self._said(sentence), self._said(request))]


def _good(subject: Subject, text: str) -> DomainCheck:
    return DomainCheck(subject, Standing.GOOD, text)


def _advice(subject: Subject, text: str, request: str = "") -> DomainCheck:
    return DomainCheck(subject, Standing.ADVICE, text, request)


def _unknown(subject: Subject, text: str, request: str = "") -> DomainCheck:
    return DomainCheck(subject, Standing.UNKNOWN, text, request)
