"""A sign-in server as Microsoft and Google have one, for rehearsals: codes, consent in a browser, and tokens.

It listens on the sandbox's HTTP port below `/identity/`. What a person would do in a browser, `agree()` and `decline()`
do in a program; the page at `/identity/device` has buttons for it, and so has the one at `/identity/google/auth`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from markupsafe import Markup

from docmail.language import _, chosen, language
from docmail.oauth import browser_page
from docmail.sandbox.response import Response, json_response

if TYPE_CHECKING:
    from collections.abc import Mapping

PATH = "/identity/"
GOOGLE = "google"
"""The part of the path below which it behaves as Google's."""

_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # RFC 8628 6.1: no vowels, so that no word comes of it
_DEVICE = "urn:ietf:params:oauth:grant-type:device_code"

_HTML = "text/html; charset=utf-8"


@dataclass
class _Code:
    """A code that was given out, and what has become of it: pending, agreed, declined, or used for a token."""

    user_code: str
    scope: str
    ends: float
    state: str = "pending"
    polled: list[float] = field(default_factory=list)

    @property
    def waits(self) -> bool:
        """Whether somebody can still agree to it or decline it."""
        return self.state == "pending" and self.ends > time.monotonic()


@dataclass(frozen=True)
class _Consent:
    """A code that a browser has brought to a program: for what, for whom, and the challenge of PKCE (RFC 7636)."""

    client_id: str
    redirect_uri: str
    scope: str
    challenge: str


class IdentityProvider:
    """The sign-in server of one sandbox; `username` is who signs in when a person agrees."""

    def __init__(self, username: str) -> None:
        self.username = username
        self.lifetime = 3600.0
        self.interval = 1
        self.client_secret = "sandbox-client-secret"  # noqa: S105 - it guards rehearsal mail on this computer
        self.google_secret = "GOCSPX-sandbox-client-secret"  # noqa: S105 - as above
        self.unticked = False
        self.asked: list[dict[str, str]] = []
        self._codes: dict[str, _Code] = {}
        self._consents: dict[str, _Consent] = {}
        self._refresh: dict[str, str] = {}
        self._access: dict[str, float] = {}
        self._refusals: list[tuple[str, str]] = []
        self._lock = threading.RLock()
        self._language = chosen()

    # --- what a person, or a test, does ---

    def agree(self) -> None:
        """Agree to every sign-in that waits."""
        self._decide("agreed")

    def decline(self) -> None:
        """Decline every sign-in that waits."""
        self._decide("declined")

    def refuse(self, error: str, description: str = "") -> None:
        """Answer the next question for a token with this error."""
        with self._lock:
            self._refusals.append((error, description))

    def expire(self) -> None:
        """Let every access token expire; the sign-ins stay valid."""
        with self._lock:
            self._access = dict.fromkeys(self._access, 0.0)

    def revoke(self) -> None:
        """Let every sign-in be worth nothing, as after a changed password."""
        with self._lock:
            self._access.clear()
            self._refresh.clear()

    def lets_in(self, token: str) -> bool:
        """Say whether an access token is one of ours, and not over."""
        with self._lock:
            return self._access.get(token, 0.0) > time.monotonic()

    def _decide(self, state: str) -> None:
        with self._lock:
            for code in self._codes.values():
                if code.waits:
                    code.state = state

    # --- what it answers ---

    def answer(self, method: str, target: str, host: str, body: bytes) -> Response:
        """Answer one request below `/identity/`."""
        path = target.partition("?")[0].removeprefix(PATH)
        form = dict(parse_qsl(body.decode("utf-8", "replace")))
        with self._lock, language(self._language):
            if path.startswith(f"{GOOGLE}/"):
                return self._as_google(path.removeprefix(f"{GOOGLE}/"), method, target, form)
            if path.endswith(".well-known/openid-configuration"):
                return json_response(200, self._configuration(host, path.partition("/")[0]))
            if path.endswith("/devicecode"):
                return json_response(200, self._new_code(host, form))
            if path.endswith("/token"):
                return self._token(form)
            if path == "device":
                return Response(200, self._device_page(method, form), _HTML)
        return json_response(404, {"error": "not_found"})

    def _configuration(self, host: str, tenant: str) -> dict[str, str]:
        # msal takes https:// addresses only.
        base = f"https://{host}{PATH}{tenant}"
        return {
            "issuer": f"{base}/v2.0",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
        }

    def _new_code(self, host: str, form: Mapping[str, str]) -> dict[str, Any]:
        device_code = secrets.token_urlsafe()
        code = _Code("".join(secrets.choice(_LETTERS) for _number in range(9)), form.get("scope", ""), 900.0)
        code.ends += time.monotonic()
        self._codes[device_code] = code
        return {
            "device_code": device_code,
            "user_code": code.user_code,
            "verification_uri": f"http://{host}{PATH}device",
            "expires_in": 900,
            "interval": self.interval,
        }

    def _as_google(self, path: str, method: str, target: str, form: dict[str, str]) -> Response:
        if path == "auth":
            return self._consent(method, target, form)
        if path == "revoke":
            return self._revoke_one(form.get("token", ""))
        return self._google_token(form)

    def _refusal(self, form: Mapping[str, str], *names: str) -> Response | None:
        """Note what is asked of these fields, and return the error that is programmed for it."""
        self.asked.append({name: value for name, value in form.items() if name in names})
        if not self._refusals:
            return None
        error, description = self._refusals.pop(0)
        return json_response(400, {"error": error, "error_description": description})

    def _google_token(self, form: dict[str, str]) -> Response:
        if refusal := self._refusal(form, "grant_type", "client_id"):
            return refusal
        if not secrets.compare_digest(form.get("client_secret", "").encode(), self.google_secret.encode()):
            return json_response(401, {"error": "invalid_client", "error_description": "Unauthorized"})
        if form.get("grant_type") == "authorization_code":
            return self._by_consent(form)
        if (scope := self._refresh.get(form.get("refresh_token", ""))) is not None:
            return json_response(200, self._lend(form, scope, lasting=False))  # the old one stays valid
        return json_response(400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."})

    def _consent(self, method: str, target: str, form: Mapping[str, str]) -> Response:
        """Show the page on which a person agrees, or send the browser back with what that person has decided."""
        question = dict(parse_qsl(target.partition("?")[2]))
        back = question.get("redirect_uri", "")
        if not back.startswith("http://127.0.0.1:") or question.get("code_challenge_method") != "S256":
            page = browser_page.page(
                _("This link is not complete"), _("Close this tab, go back to JupyterLab and use the link in the form.")
            )
            return Response(400, page, _HTML)
        if method != "POST":
            allow = _("docmail asks for permission to send mail from this mailbox.")
            return Response(200, self._question_page(allow), _HTML)
        answer = {"state": question.get("state", "")}
        if "agree" in form:
            code = answer["code"] = f"4/{secrets.token_urlsafe(48)}"
            scope = question.get("scope", "")
            allowed = " ".join(scope.split()[:-1]) if self.unticked else scope
            self._consents[code] = _Consent(
                question.get("client_id", ""), back, allowed, question.get("code_challenge", "")
            )
        else:
            answer["error"] = "access_denied"
        return Response(303, f"{back}?{urlencode(answer)}")

    def _by_consent(self, form: Mapping[str, str]) -> Response:
        consent = self._consents.pop(form.get("code", ""), None)  # once, whatever comes of it
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        asked = (form.get("client_id", ""), form.get("redirect_uri", ""), challenge)
        if consent is None or asked != (consent.client_id, consent.redirect_uri, consent.challenge):
            return json_response(400, {"error": "invalid_grant", "error_description": "Bad Request"})
        return json_response(200, self._lend(form, consent.scope))

    def _revoke_one(self, token: str) -> Response:
        if self._refusals:
            return json_response(503, {"error": self._refusals.pop(0)[0]})
        if self._refresh.pop(token, None) is None:
            return json_response(400, {"error": "invalid_token"})
        self._access.clear()  # as at Google: with the sign-in goes what was made of it
        return json_response(200, {})

    def _token(self, form: dict[str, str]) -> Response:
        if refusal := self._refusal(form, "grant_type", "client_id", "scope"):
            return refusal
        kind = form.get("grant_type")
        if kind == _DEVICE:
            return self._by_code(form)
        if kind == "refresh_token" and form.get("refresh_token", "") in self._refresh:
            return json_response(200, self._lend(form, self._refresh.pop(form["refresh_token"])))
        if kind == "client_credentials":
            known = secrets.compare_digest(form.get("client_secret", ""), self.client_secret)
            if known or form.get("client_assertion"):
                return json_response(200, self._lend(form, form.get("scope", ""), lasting=False))
            return json_response(
                401, {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret."}
            )
        return json_response(
            400, {"error": "invalid_grant", "error_description": "AADSTS700082: The token has expired."}
        )

    def _by_code(self, form: Mapping[str, str]) -> Response:
        code = self._codes.get(form.get("device_code", ""))
        if code is None or code.state == "used" or code.ends < time.monotonic():
            return json_response(
                400, {"error": "expired_token", "error_description": "AADSTS70020: The code has expired."}
            )
        code.polled.append(time.monotonic())
        if code.state == "pending":
            return json_response(400, {"error": "authorization_pending", "error_description": "AADSTS70016: Pending."})
        if code.state == "declined":
            return json_response(
                400, {"error": "authorization_declined", "error_description": "AADSTS65004: Declined."}
            )
        code.state = "used"
        return json_response(200, self._lend(form, code.scope))

    def _lend(self, form: Mapping[str, str], scope: str, *, lasting: bool = True) -> dict[str, Any]:
        access = f"access-{secrets.token_urlsafe(900)}"  # as long as Microsoft's
        self._access[access] = time.monotonic() + self.lifetime
        answer: dict[str, Any] = {
            "token_type": "Bearer",
            "access_token": access,
            "expires_in": int(self.lifetime),
            "scope": scope,
        }
        if lasting:
            refresh = f"refresh-{secrets.token_urlsafe(900)}"
            self._refresh[refresh] = scope
            now = int(time.time())
            claims = {
                "iss": "https://sandbox.example",
                "aud": form.get("client_id", ""),
                "sub": "1",
                "iat": now,
                "exp": now + 3600,
                "preferred_username": self.username,
                "email": self.username,
            }
            answer |= {"refresh_token": refresh, "id_token": f"{_part({'alg': 'none'})}.{_part(claims)}.{_part({})}"}
        return answer

    def _device_page(self, method: str, form: Mapping[str, str]) -> str:
        """Return the page on which a person agrees to a code; `form` is what a press of its buttons sends."""
        waiting = [code.user_code for code in self._codes.values() if code.waits]
        if waiting and method == "POST" and form.keys() & {"agree", "decline"}:
            self._decide("agreed" if "agree" in form else "declined")
            if "agree" in form:
                return browser_page.over(
                    _("✓ You have agreed"), _("docmail now finishes the sign-in. The form says when it is done.")
                )
            return browser_page.over(
                _("You have not allowed docmail to send mail"),
                _("Nothing was changed. To allow it after all, sign in again from the form."),
            )
        if waiting:
            code = Markup("<b>{}</b>").format(", ".join(waiting))
            compare = Markup("{}").format(_("Agree only if the form shows the same code: {code}")).format(code=code)
            return self._question_page(_("docmail asks for permission to send mail from this mailbox."), compare)
        states = {code.state for code in self._codes.values()}
        if states & {"agreed", "declined", "used"}:
            return browser_page.over(
                _("This sign-in is answered already"),
                _("Opening the page again changes nothing. The form says whether the sign-in has worked."),
            )
        if states:
            return browser_page.page(
                _("The code has expired"),
                _("Nobody was signed in."),
                _("Close this tab, go back to JupyterLab and press “Sign in with Microsoft” in the form."),
            )
        return browser_page.page(
            _("No sign-in is waiting here"),
            _("Close this tab, go back to JupyterLab and press “Sign in with Microsoft” in the form."),
        )

    def _question_page(self, *paragraphs: str) -> str:
        """Return a page with the two buttons that answer it."""
        buttons = Markup("").join(
            Markup('<button name="{}" value="1">{}</button>').format(name, label)
            for name, label in (("agree", _("Agree")), ("decline", _("Decline")))
        )
        return browser_page.page(
            _("Sign in as {username}?").format(username=self.username),
            *paragraphs,
            _("This is docmail's sandbox: it asks for no password, and no mail leaves this computer."),
            form=Markup('<form method="post">{}</form>').format(buttons),
        )


def _part(content: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")
