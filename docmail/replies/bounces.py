"""Says what a bounce means for the person who sent the mail: by its status (RFC 3463), and by what servers write."""

from __future__ import annotations

import re

from docmail.language import _

_BY_STATUS = (
    (r"5\.1\.(0|1|3|6|10)", "mailbox"),
    (r"5\.1\.2|5\.4\.(4|310)|5\.1\.8", "domain"),
    (r"5\.2\.1|5\.1\.9", "closed"),
    (r"5\.2\.2", "full"),
    (r"5\.2\.3|5\.3\.4", "large"),
    (r"5\.7\.(7|8|9|20|23|25|26|27|509|515)", "unverified"),
    (r"5\.7\.\d+|5\.2\.(14|18)", "policy"),
    (r"[45]\.4\.(6|14)", "loop"),
    (r"[45]\.4\.\d+", "unreachable"),
    (r"5\.6\.\d+", "content"),
    (r"4\.2\.2", "full"),
)
# For servers that report no status, or one that says nothing (x.0.0).
_BY_WORDS = (
    (r"(mailbox|inbox|account|storage)\b.{0,40}\b(full|exceed)|over.?quota|quota.{0,20}exceed|out of storage", "full"),
    (
        (
            r"(user|mailbox|recipient|account|address|email)\b.{0,60}\b(unknown|not (be )?found|not exist|invalid"
            r"|does(n't| not) exist|no longer)|(no such|unknown|invalid) (user|recipient|mailbox|address|person)"
            r"|no mailbox|does(n't| not) have an? \S+ account"
        ),
        "mailbox",
    ),
    (r"(host|domain)\b.{0,60}\b(not found|unknown|does(n't| not) exist|couldn't be found)|nxdomain", "domain"),
    (r"(disabled|suspended|inactive|deactivated)", "closed"),
    (r"(too (large|big)|size.{0,30}(exceed|limit))", "large"),
    (r"\b(spf|dkim|dmarc)\b|unauthenticated", "unverified"),
    (r"spam|blocked|blacklist|block ?list|policy|denied|reputation|not allowed|rejected due to", "policy"),
    (r"loop|too many hops", "loop"),
    (r"timed? ?out|expired|too long|unreachable|not reachable|retry time", "unreachable"),
)
_STATUS_OF = {"full": "5.2.2", "mailbox": "5.1.1", "domain": "5.1.2"}
_LOOKED_AT = 600  # characters of what a server wrote


def _by_words(diagnostic: str) -> str:
    text = " ".join(diagnostic[:_LOOKED_AT].split())
    return next((cause for words, cause in _BY_WORDS if re.search(words, text, re.IGNORECASE)), "")


def status_by_words(diagnostic: str) -> str:
    """Return the status (RFC 3463) that a server has put into words; an empty text if they say too little."""
    return _STATUS_OF.get(_by_words(diagnostic), "")


def meaning_of_bounce(status: str, diagnostic: str, *, delayed: bool = False) -> str:
    """Return in a sentence why a mail came back, or is late: what happened, and what to do."""
    if delayed:
        return _("Not delivered yet; the server is still trying.")
    cause = next((cause for pattern, cause in _BY_STATUS if re.fullmatch(pattern, status)), "")
    if not cause or cause in {"policy", "unreachable"}:  # servers give these to much else
        words = _by_words(diagnostic)
        cause = words if words and (not cause or words in {"mailbox", "full", "domain", "unverified"}) else cause
    sentences = {
        "mailbox": _("There is no such mailbox; check the address."),
        "domain": _("The domain of this address takes no mail; check what stands behind the @."),
        "closed": _("The mailbox is switched off; ask the recipient for another address."),
        "full": _("The mailbox is full; the recipient has to make room before it is sent again."),
        "large": _("The mail is too large for the recipient's server; send a smaller document."),
        "unverified": _(
            "The recipient's server could not verify your domain (SPF, DKIM, DMARC); show this to the person who keeps "
            "its DNS."
        ),
        "policy": _("The recipient's server refuses the mail by its rules, such as those against spam."),
        "loop": _("The mail went round in a circle at the recipient's side; their administrator can mend that."),
        "unreachable": _("The recipient's server could not be reached until the mail was given up."),
        "content": _("The recipient's server cannot take the content of the mail."),
    }
    return sentences.get(cause) or _("The mail came back undelivered.")
