"""The sandbox as a user sees it: open it, send to it, look into its inbox, close it."""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docmail import credentials
from docmail import home as homes
from docmail.errors import SettingsError
from docmail.language import _
from docmail.presets import services
from docmail.sandbox.certificates import Certificate
from docmail.sandbox.failures import Failure, Failures
from docmail.sandbox.inbox import Inbox, count_mails
from docmail.sandbox.oauth_server import GOOGLE, PATH, IdentityProvider
from docmail.sandbox.password import SANDBOX_PASSWORD
from docmail.sandbox.scenarios import Scenario, scenario
from docmail.sandbox.server import HOST, Nowhere, Server
from docmail.sandbox.server_file import Place, take
from docmail.secret import Secret
from docmail.settings import HttpServer, Security, Settings, SignIn, SmtpServer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from filelock import FileLock

    from docmail.sandbox.failures import Step

_NAME = "Accounts"
_ADDRESS = "accounts@example.com"
_JOINING_SECONDS = 5.0
_NOWHERE = {"closed", "blackhole"}  # ports at which nobody answers


class Sandbox:
    """A mail server on this computer; open it with `with`, or `start()` and `close()`.

    `settings` lead to its port with STARTTLS, `tls_settings` to the one with TLS, `http_settings` to its HTTP form.
    Everything it keeps is below `folder` (None: a temporary one, removed when it closes).

    `failing` names what goes wrong, such as "gmail-app-password" or "expired-certificate"; `docmail.sandbox.scenarios`
    has the list. Correcting the settings mends what they are to blame for, and `reset()` the rest.
    """

    def __init__(
        self,
        folder: Path | str | None = None,
        *,
        username: str = _ADDRESS,
        password: str | Secret = SANDBOX_PASSWORD,
        failing: str | None = None,
    ) -> None:
        self._scenario = scenario(failing) if failing is not None else Scenario("", "")
        self._given_folder = Path(folder).expanduser().absolute() if folder is not None else None
        self._username = self._right("username") or username
        self._secret = password if isinstance(password, Secret) else Secret(password)
        self.identity = IdentityProvider(self._address)
        self._open: _Open | None = None
        self._lock = threading.RLock()

    # --- opening and closing ---

    def start(self) -> Self:
        """Open it, and return it; does nothing if it is open."""
        with self._lock:
            if self._open is None and self._given_folder is None:
                folder = Path(tempfile.mkdtemp(prefix="docmail-sandbox-"))
                try:
                    self._host(folder)
                except BaseException:
                    shutil.rmtree(folder, ignore_errors=True)
                    raise
            elif self._open is None and self._given_folder is not None and not self._host(self._given_folder):
                raise SettingsError(
                    _("Another sandbox runs in {folder}.").format(folder=self._given_folder),
                    hint=_("Use another folder, or docmail.Sandbox.shared()."),
                )
        return self

    def close(self) -> None:
        """Close it: its ports, its connections, its home; a shared one that another program runs goes on."""
        with self._lock:
            closing, self._open = self._open, None
            if closing is None:
                return
            atexit.unregister(self.close)
            homes.end_rehearsal(closing.home)
            for settings in self._settings_of(closing):
                credentials.withdraw(settings.account)
            if closing.process != os.getpid():
                return  # a forked child only forgets what its parent goes on running
            if closing.server is not None:
                closing.server.stop()
            if closing.nowhere is not None:
                closing.nowhere.close()
            if closing.lock is not None:
                closing.lock.release()
            if closing.server is not None and self._given_folder is None:
                shutil.rmtree(closing.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @classmethod
    def shared(cls) -> Sandbox:
        """Return the sandbox that this user's notebooks share: the one that runs, or one started here.

        It keeps its settings (profile "sandbox"), its mails and, if they are free, its ports from one time to the next.
        Closing one that another program runs only leaves it; when that program ends, the next call starts it again.
        """
        with _Shared.lock:
            if _Shared.box is not None and _Shared.box._open is not None:  # noqa: SLF001 - one class
                if _Shared.box._open.folder == homes.shared_sandbox() and _Shared.box.is_alive:  # noqa: SLF001
                    return _Shared.box
                _Shared.box.close()
            _Shared.box = box = cls(homes.shared_sandbox())
            box._start_or_join(homes.shared_sandbox())
            return box

    def _start_or_join(self, folder: Path) -> None:
        end = time.monotonic() + _JOINING_SECONDS
        while time.monotonic() < end:
            if self._host(folder):
                try:
                    self.settings.save(homes.SHARED_SANDBOX)
                except BaseException:
                    self.close()
                    raise
                return
            # Somebody runs it, or is just about to.
            place = Place.read(folder / homes.SANDBOX_FILE)
            if place is not None and place.answers():
                self._enter(_Open(folder, place, Inbox(folder / "inbox"), None, None, None, folder / "ca.pem"))
                return
            time.sleep(0.05)
        raise SettingsError(
            _("The sandbox that your notebooks share does not answer."),
            hint=_("Restart the notebook, or the program, that runs it."),
        )

    def _host(self, folder: Path) -> bool:
        """Run the server for this folder, unless somebody else does; return whether it runs here."""
        if homes.Home.below(folder).outbox == homes.user_home().outbox:
            raise SettingsError(
                _("Your own settings and your record of mail are in {folder}: no sandbox opens there.").format(
                    folder=folder
                ),
                hint=_("Give the sandbox another folder, or none."),
            )
        if (lock := take(folder)) is None:
            return False
        try:
            self._enter(self._serve(folder, lock))
        except BaseException:
            lock.release()
            raise
        return True

    def _serve(self, folder: Path, lock: FileLock) -> _Open:
        before = Place.read(folder / homes.SANDBOX_FILE)
        inbox, failures, token = Inbox(folder / "inbox"), Failures(), secrets.token_urlsafe()
        for failure in self._scenario.failures:
            failures.add(failure)
        certificate = Certificate.below(folder, self._scenario.certificate)
        server = Server(
            inbox,
            failures,
            certificate,
            username=self._username,
            secret=Secret(self._scenario.password) if self._scenario.password else self._secret,
            address=self._address,
            offers=self._scenario.offers,
            token=token,
            identity=self.identity,
            wanted=before.ports if before else None,
        )
        server.start()
        place = Place(server.ports, token)
        try:
            place.write(folder / homes.SANDBOX_FILE)
        except BaseException:
            server.stop()
            raise
        nowhere = Nowhere() if self._scenario.settings.get("port") in _NOWHERE else None
        return _Open(folder, place, inbox, failures, server, lock, certificate.ca_file, nowhere)

    def _enter(self, opened: _Open) -> None:
        self._open = opened
        wrong = self._scenario.settings.get("password")
        secret = self._secret if wrong is None else Secret(wrong)
        for settings in self._settings_of(opened) if secret else ():
            credentials.provide(settings.account, secret)
        homes.begin_rehearsal(opened.home)
        atexit.register(self.close)

    @property
    def is_alive(self) -> bool:
        """Whether it takes mail at this moment."""
        opened = self._open
        return opened is not None and (opened.server is not None or opened.place.answers())

    @property
    def is_host(self) -> bool:
        """Whether its server runs in this program."""
        return self._opened.server is not None

    # --- where it is ---

    @property
    def settings(self) -> Settings:
        """The settings for its port with STARTTLS, or those that `failing` makes of them."""
        return self._failing_settings(self._opened, Security.STARTTLS)

    @property
    def tls_settings(self) -> Settings:
        """The settings for its port with TLS, or those that `failing` makes of them."""
        return self._failing_settings(self._opened, Security.TLS)

    @property
    def http_settings(self) -> Settings:
        """The settings for its HTTP form."""
        server = HttpServer(f"http://{self.host}:{self.http_port}")
        return Settings(_NAME, server, reply_to=(self._address,), home=self._opened.home)

    def service_settings(self, api: str) -> Settings:
        """Return the settings for its imitation of a mail service: "graph", "postmark", or another `HttpServer.api`."""
        return self._service_settings(self._opened, api)

    @property
    def microsoft_settings(self) -> Settings:
        """The settings for signing in as with Microsoft; `identity` is the sign-in server that stands in for it."""
        settings, opened = self.settings, self._opened
        assert isinstance(settings.server, SmtpServer)  # noqa: S101 - they are for SMTP
        tenant = f"http://{HOST}:{opened.place.ports.http}{PATH}sandbox"
        server = replace(settings.server, sign_in=SignIn.MICROSOFT, client_id="docmail-rehearsal", tenant=tenant)
        return replace(settings, server=server)

    @property
    def google_settings(self) -> Settings:
        """The settings for signing in as with Google in a browser; the client secret is `identity.google_secret`."""
        settings, opened = self.settings, self._opened
        assert isinstance(settings.server, SmtpServer)  # noqa: S101 - they are for SMTP
        base = f"http://{HOST}:{opened.place.ports.http}{PATH}{GOOGLE}"
        client_id = "docmail-rehearsal.apps.googleusercontent.com"
        server = replace(settings.server, sign_in=SignIn.GOOGLE, client_id=client_id, tenant=base)
        return replace(settings, server=server)

    @property
    def host(self) -> str:
        """The address it listens at."""
        return HOST

    @property
    def port(self) -> int:
        """The port with STARTTLS."""
        return self._opened.place.ports.starttls

    @property
    def tls_port(self) -> int:
        """The port with TLS from the first byte."""
        return self._opened.place.ports.tls

    @property
    def http_port(self) -> int:
        """The port for HTTP forms."""
        return self._opened.place.ports.http

    @property
    def folder(self) -> Path:
        """Where it keeps its settings, outbox, mails and certificate."""
        return self._opened.folder

    @property
    def ca_file(self) -> Path:
        """The certificate of its authority (PEM), which a client must trust."""
        return self._opened.ca_file

    @property
    def inbox(self) -> Inbox:
        """The mails that arrived, newest last."""
        return self._opened.inbox

    # --- what goes wrong ---

    def answer(self, step: Step, reply: str, *, times: int | None = None, recipient: str | None = None) -> None:
        """Let the server answer this at a step, such as `box.answer("rcpt", "550 5.1.1 No such mailbox")`.

        `times` None means from now on; `recipient` limits it to mails to this address. The steps are connect, ehlo,
        starttls, auth, mail, rcpt, data, end (after the final dot) and http.
        """
        self._order(Failure(step, "answer", reply=reply, times=times, recipient=recipient))

    def drop(
        self,
        step: Step,
        *,
        times: int | None = None,
        recipient: str | None = None,
        after: int = 1024,
        keep: bool = True,
    ) -> None:
        """Let the server cut the connection at a step instead of answering.

        At `body` it does so after so many bytes; at `end` and `http` it has the whole mail, and takes it with `keep`.
        """
        self._order(Failure(step, "drop", times=times, recipient=recipient, after=after, keep=keep))

    def delay(self, step: Step, seconds: float, *, times: int | None = None, recipient: str | None = None) -> None:
        """Let the server wait before it answers at a step."""
        self._order(Failure(step, "delay", seconds=seconds, times=times, recipient=recipient))

    def reset(self) -> None:
        """Forget every answer, cut and delay that was programmed."""
        self._order(None)

    def _order(self, failure: Failure | None) -> None:
        opened = self._opened
        if opened.failures is None:
            opened.place.order(asdict(failure) if failure else None)
        elif failure is None:
            opened.failures.reset()
        else:
            opened.failures.add(failure)

    # --- inside ---

    @property
    def _opened(self) -> _Open:
        if self._open is None:
            raise SettingsError(
                _("This sandbox is not open."), hint=_("Use it in a `with` statement, or call start() first.")
            )
        return self._open

    @property
    def _address(self) -> str:
        return self._username if "@" in self._username else _ADDRESS

    def _smtp_settings(self, opened: _Open, port: int, security: Security) -> Settings:
        server = SmtpServer(HOST, port=port, security=security, username=self._username, ca_file=str(opened.ca_file))
        sender = _NAME if "@" in self._username else f"{_NAME} <{_ADDRESS}>"
        return Settings(sender, server, home=opened.home)

    def _service_settings(self, opened: _Open, api: str) -> Settings:
        service = services.by_api(api)
        username = self._address if service is None or service.has_mailbox else ""
        domain = "/v3/sandbox.example" if api == "mailgun" else ""
        server = HttpServer(f"http://{HOST}:{opened.place.ports.http}{domain}", api=api, username=username)
        return Settings(f"{_NAME} <{self._address}>", server, home=opened.home)

    def _failing_settings(self, opened: _Open, security: Security) -> Settings:
        """Return the settings for this kind of encryption with what the scenario does to them."""
        wrong, ports = self._scenario.settings, opened.place.ports
        right = self._smtp_settings(opened, ports.tls if security is Security.TLS else ports.starttls, security)
        assert isinstance(right.server, SmtpServer)  # noqa: S101 - made above
        changes: dict[str, Any] = {name: wrong[name] for name in ("host", "username") if name in wrong}
        if "security" in wrong:
            changes["security"] = Security(wrong["security"])
        if "port" in wrong:
            known = {
                **ports._asdict(),
                **{name: getattr(opened.nowhere, name) for name in _NOWHERE & {wrong["port"]}},
            }
            changes["port"] = known[wrong["port"]]
        if "fingerprint" in wrong:
            changes["fingerprint"] = wrong["fingerprint"] * 32
        if not wrong.get("ca_file", True):
            changes["ca_file"] = None
        sender = wrong.get("sender", f"{_NAME} <{_ADDRESS}>" if "username" in wrong else right.sender)
        return replace(right, sender=sender, server=replace(right.server, **changes))

    def _right(self, name: str) -> str:
        return str(self._scenario.settings.get(name, ""))

    def _settings_of(self, opened: _Open) -> Iterable[Settings]:
        """Return the settings of its own accounts, those that sign in."""
        ports = opened.place.ports
        yield self._smtp_settings(opened, ports.starttls, Security.STARTTLS)
        yield self._smtp_settings(opened, ports.tls, Security.TLS)
        for service in services.SERVICES:
            yield self._service_settings(opened, service.api)
        for security in (Security.STARTTLS, Security.TLS):
            settings = self._failing_settings(opened, security)
            if settings.account.username:
                yield settings

    def __repr__(self) -> str:
        if self._open is None:
            return "<Sandbox, closed>"
        failing = f", failing: {self._scenario.name}" if self._scenario.name else ""
        return f"<Sandbox {self.host}:{self.port}{failing}, {count_mails(len(self.inbox))}>"


@dataclass(frozen=True)
class _Open:
    """What a sandbox has while it is open; one that runs elsewhere has no server here."""

    folder: Path
    place: Place
    inbox: Inbox
    failures: Failures | None
    server: Server | None
    lock: FileLock | None
    ca_file: Path
    nowhere: Nowhere | None = None
    process: int = field(default_factory=os.getpid)

    @property
    def home(self) -> homes.Home:
        return homes.Home.below(self.folder, rehearsal=True)


class _Shared:
    """The shared sandbox as this process has it; one, so that a cell may be run again."""

    lock = threading.Lock()
    box: Sandbox | None = None
