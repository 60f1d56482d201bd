"""The sandbox as a user sees it: open it, send to it, look into its inbox, close it."""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import tempfile
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docmail import credentials
from docmail import home as homes
from docmail.errors import SettingsError
from docmail.files import reason_of
from docmail.language import _
from docmail.presets import services
from docmail.sandbox.certificates import Certificate
from docmail.sandbox.failures import Failure, Failures, bounced
from docmail.sandbox.folders import Folders
from docmail.sandbox.inbox import Inbox, count_mails
from docmail.sandbox.oauth_server import GOOGLE, PATH, IdentityProvider
from docmail.sandbox.rehearsal import SANDBOX_PASSWORD, Rehearsal
from docmail.sandbox.scenarios import Scenario, scenario
from docmail.sandbox.server import HOST, Nowhere, Server
from docmail.sandbox.server_file import PREFIX, Place, take, tidy_up
from docmail.secret import Secret
from docmail.settings import HttpServer, Mailbox, Security, Settings, SignIn, SmtpServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Self

    from docmail.sandbox.failures import Step
    from docmail.settings import Account

_NAME = "Accounts"
_ADDRESS = "accounts@example.com"
_JOINING_SECONDS = 5.0
_NOWHERE = {"closed", "blackhole"}  # ports at which no server answers


class Sandbox:
    """A mail server on this computer; open it with `with`, or `start()` and `close()`.

    `settings` lead to its port with STARTTLS, `settings_for()` to the one with TLS and to those that take mail by HTTP.
    Everything it keeps is below `folder` (None: a temporary one, removed when it closes). It lets in `username` with
    `password`, which docmail has by itself.

    `failing` names what goes wrong, such as "gmail-app-password" or "expired-certificate"; `docmail.sandbox.scenarios`
    has the list. Correcting the settings mends what they are to blame for, and `reset()` the rest.

    >>> with docmail.Sandbox() as box:
    ...     result = docmail.send(pdf, to="cfo@example.com", subject="Q3", settings=box.settings)
    ...     box.inbox[-1].attachments[0].name
    'document.pdf'
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
        # Unlike Path's, this expanduser() leaves a ~ as it is that leads nowhere.
        self._given_folder = Path(os.path.expanduser(folder)).absolute() if folder is not None else None  # noqa: PTH111
        self._username = str(self._scenario.settings.get("username") or username)
        self._address = self._username if "@" in self._username else _ADDRESS
        self._secret = password if isinstance(password, Secret) else Secret(password)
        self.identity = IdentityProvider(self._address)
        self._open: _Open | None = None
        self._lock = threading.RLock()

    # --- opening and closing ---

    def start(self) -> Self:
        """Open it, and return it; does nothing if it is open.

        >>> another = docmail.Sandbox().start()
        >>> another.close()
        """
        with self._lock, ExitStack() as opening:
            if self._open is not None:
                return self
            folder = self._given_folder
            with _explained(folder):
                if folder is None:
                    tidy_up()
                    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
                    opening.callback(shutil.rmtree, folder, ignore_errors=True)
                if not self._host(folder, opening):
                    raise SettingsError(
                        _("Another sandbox runs in {folder}.").format(folder=folder),
                        hint=_("Use another folder, or docmail.Sandbox.shared()."),
                    )
        return self

    def close(self) -> None:
        """Close it: its ports, its connections, its home; a shared one that another program runs stays open."""
        with self._lock:
            if self._open is None:
                return
            atexit.unregister(self.close)
            accounts = self._accounts()
            opened, self._open = self._open, None
            homes.end_rehearsal(opened.home)
            for account in accounts:
                credentials.withdraw(account)
            if opened.process == os.getpid():  # a forked child only forgets what its parent still runs
                opened.running.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @classmethod
    def shared(cls) -> Sandbox:
        """Return the sandbox that this user's notebooks share: the one that runs, or one started here.

        It keeps its settings (profile "sandbox"), its mails and, if they are free, its ports from one time to the next.
        Closing one that another program runs only leaves it; when that program ends, the next call starts it again.

        >>> shared = docmail.Sandbox.shared()
        >>> shared.settings.server.host
        '127.0.0.1'
        >>> shared.close()
        """
        with _Shared.lock:
            box, folder = _Shared.box, homes.shared_sandbox()
            if box is not None and (opened := box._open) is not None:  # noqa: SLF001 - one class
                if opened.folder == folder and (box.is_host or opened.place.answers()):
                    return box
                box.close()
            _Shared.box = box = cls(folder)
            box._start_or_join(folder)
            return box

    def _start_or_join(self, folder: Path) -> None:
        end = time.monotonic() + _JOINING_SECONDS
        while time.monotonic() < end:
            with _explained(folder), ExitStack() as opening:
                if self._host(folder, opening):
                    try:
                        self.settings.save(homes.SHARED_SANDBOX)
                    except BaseException:
                        self.close()
                        raise
                    return
            # Another program runs it, or is just about to.
            place = Place.read(folder / homes.SANDBOX_FILE)
            if place is not None and place.answers():
                self._enter(
                    _Open(folder, place, folder / "ca.pem", Inbox(folder / "inbox"), Folders(folder / "mailbox"))
                )
                return
            time.sleep(0.05)
        raise SettingsError(
            _("The sandbox that your notebooks share does not answer."),
            hint=_("Restart the notebook, or the program, that runs it."),
        )

    def _host(self, folder: Path, opening: ExitStack) -> bool:
        """Run the server for this folder, unless another program does; return whether it runs here.

        What `opening` has to undo passes to the open sandbox.
        """
        if _is_users_own(folder):
            raise SettingsError(
                _("Your own settings and your record of mail are in {folder}: no sandbox opens there.").format(
                    folder=folder
                ),
                hint=_("Give the sandbox another folder, or none."),
            )
        if (lock := take(folder)) is None:
            return False
        opening.callback(lock.release)
        before = Place.read(folder / homes.SANDBOX_FILE)
        failures = Failures()
        for failure in self._scenario.failures:
            failures.add(failure)
        rehearsal = Rehearsal(
            Inbox(folder / "inbox"),
            Folders(folder / "mailbox"),
            failures,
            self.identity,
            self._username,
            self._address,
            Secret(self._scenario.password) if self._scenario.password else self._secret,
            secrets.token_urlsafe(),
            self._scenario.offers,
        )
        certificate = Certificate.below(folder, self._scenario.certificate)
        server = Server(rehearsal, certificate, before.ports if before else None)
        server.start()
        opening.callback(server.stop)
        place = Place(server.ports, rehearsal.token)
        place.write(folder / homes.SANDBOX_FILE)
        ports = place.ports._asdict()
        if self._scenario.settings.get("port") in _NOWHERE:
            nowhere = opening.enter_context(closing(Nowhere()))
            ports |= {"closed": nowhere.closed, "blackhole": nowhere.blackhole}
        running = opening.pop_all()
        self._enter(
            _Open(folder, place, certificate.ca_file, rehearsal.inbox, rehearsal.folders, failures, ports, running)
        )
        return True

    def _enter(self, opened: _Open) -> None:
        self._open = opened
        wrong = self._scenario.settings.get("password")
        secret = self._secret if wrong is None else Secret(wrong)
        for account in self._accounts() if secret else ():
            credentials.provide(account, secret)
        homes.begin_rehearsal(opened.home)
        atexit.register(self.close)

    @property
    def is_host(self) -> bool:
        """Whether its server runs in this program."""
        return self._opened.failures is not None

    # --- where it is ---

    @property
    def settings(self) -> Settings:
        """The settings for its port with STARTTLS, or those that `failing` makes of them."""
        return self.settings_for(Security.STARTTLS)

    def settings_for(self, way: str) -> Settings:
        """Return the settings for one way to send: "starttls", "tls", "form", or a mail service's `HttpServer.api`.

        >>> str(box.settings_for("tls").server.effective_security)
        'tls'
        """
        if way in {Security.STARTTLS, Security.TLS}:
            return self._failing_settings(Security(way))
        url, home = f"http://{HOST}:{self._opened.place.ports.http}", self._opened.home
        service = services.by_api(way)
        if service is None:
            return Settings(_NAME, HttpServer(url), reply_to=(self._address,), home=home)
        username = self._address if service.has_mailbox else ""
        domain = "/v3/sandbox.example" if way == "mailgun" else ""
        return Settings(f"{_NAME} <{self._address}>", HttpServer(f"{url}{domain}", way, username), home=home)

    @property
    def microsoft_settings(self) -> Settings:
        """The settings for signing in as with Microsoft; `identity` is the sign-in server that stands in for it."""
        settings, opened = self.settings, self._opened
        assert isinstance(settings.server, SmtpServer)  # noqa: S101 - they are for SMTP
        authority = f"http://{HOST}:{opened.place.ports.http}{PATH}sandbox"
        server = replace(settings.server, sign_in=SignIn.MICROSOFT, client_id="docmail-rehearsal", authority=authority)
        return replace(settings, server=server)

    @property
    def google_settings(self) -> Settings:
        """The settings for signing in as with Google in a browser; the client secret is `identity.google_secret`."""
        settings, opened = self.settings, self._opened
        assert isinstance(settings.server, SmtpServer)  # noqa: S101 - they are for SMTP
        authority = f"http://{HOST}:{opened.place.ports.http}{PATH}{GOOGLE}"
        client_id = "docmail-rehearsal.apps.googleusercontent.com"
        server = replace(settings.server, sign_in=SignIn.GOOGLE, client_id=client_id, authority=authority)
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

    @property
    def mailbox(self) -> Folders:
        """The mailbox of its account: the folders "INBOX", "Drafts" and "Sent", which IMAP reads at port `imap_port`.

        >>> docmail.send(pdf, to="accounts@example.com", subject="To myself").accepted
        ('accounts@example.com',)
        >>> box.mailbox["INBOX"][-1].subject
        'To myself'
        """
        return self._opened.folders

    @property
    def imap_port(self) -> int:
        """The port of its mailbox, with TLS from the first byte."""
        return self._opened.place.ports.imap

    # --- what goes wrong ---

    def answer(self, step: Step, reply: str, *, times: int | None = None, recipient: str | None = None) -> None:
        """Let the server reply this at a step, such as `box.answer("rcpt", "550 5.1.1 No such mailbox")`.

        `times` None means from now on; `recipient` limits it to mails to this address. The steps are connect, ehlo,
        starttls, auth, mail, rcpt, data, chunk, end (after the final dot), delivery (see `bounce`) and http.

        >>> box.answer("rcpt", "550 5.1.1 No such mailbox", recipient="gone@example.com")
        >>> docmail.send(pdf, to="gone@example.com", subject="Q3")
        Traceback (most recent call last):
        docmail.errors.Refused: ...
        """
        self._order(Failure(step, "answer", reply=reply, times=times, recipient=recipient))

    def bounce(
        self, recipient: str, *, status: str = "5.1.1", text: str | None = None, times: int | None = None
    ) -> None:
        """Take mails to this address, and then let them come back: a report stands in the sender's mailbox.

        `status` 4.x.x reports a delay instead. `text` (None: one for the status) is what the recipient's server says.
        Nothing of it arrives in the inbox. `times` is that of `answer`; `mailbox` has the reports.

        >>> box.bounce("left@example.com", status="5.1.1")
        >>> docmail.send(pdf, to="left@example.com", subject="Q3").accepted
        ('left@example.com',)
        >>> box.mailbox["INBOX"][-1].subject
        'Undelivered Mail Returned to Sender'
        """
        self._order(bounced(recipient, status, text, times))

    def drop(
        self,
        step: Step,
        *,
        times: int | None = None,
        recipient: str | None = None,
        after: int = 1024,
        keep: bool = True,
    ) -> None:
        """Let the server cut the connection at a step instead of replying.

        At `body` it does so after `after` bytes; at `end` and `http` it has the whole mail, and takes it with `keep`.
        `times` and `recipient` are those of `answer`.

        >>> box.drop("end", times=1)
        >>> docmail.send(pdf, to="cfo@example.com", subject="Q3")
        Traceback (most recent call last):
        docmail.errors.OutcomeUnknown: ...
        """
        self._order(Failure(step, "drop", times=times, recipient=recipient, after=after, keep=keep))

    def delay(self, step: Step, seconds: float, *, times: int | None = None, recipient: str | None = None) -> None:
        """Let the server wait some seconds before it replies at a step; `times` and `recipient` are as in `answer`.

        >>> box.delay("rcpt", 0.1, times=1)
        >>> docmail.send(pdf, to="cfo@example.com", subject="Q3").accepted
        ('cfo@example.com',)
        """
        self._order(Failure(step, "delay", seconds=seconds, times=times, recipient=recipient))

    def reset(self) -> None:
        """Forget every reply, cut and delay that was programmed.

        >>> box.answer("mail", "451 4.3.0 Later")
        >>> box.reset()
        >>> docmail.send(pdf, to="cfo@example.com", subject="Q3").accepted
        ('cfo@example.com',)
        """
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

    def _smtp_settings(self, security: Security) -> Settings:
        opened = self._opened
        port = opened.place.ports.tls if security is Security.TLS else opened.place.ports.starttls
        ca_file = str(opened.ca_file)
        server = SmtpServer(HOST, port, security, self._username, ca_file=ca_file)
        # The shared sandbox of an earlier docmail has no mailbox.
        mailbox = Mailbox(HOST, self.imap_port, Security.TLS, ca_file=ca_file) if self.imap_port else None
        sender = _NAME if "@" in self._username else f"{_NAME} <{_ADDRESS}>"
        return Settings(sender, server, mailbox=mailbox, home=opened.home)

    def _failing_settings(self, security: Security) -> Settings:
        """Return the settings for this kind of encryption with what the scenario does to them."""
        wrong, right = self._scenario.settings, self._smtp_settings(security)
        changes: dict[str, Any] = {name: wrong[name] for name in ("host", "username", "security") if name in wrong}
        if "port" in wrong:
            changes["port"] = self._opened.ports[wrong["port"]]
        if "fingerprint" in wrong:
            changes["fingerprint"] = wrong["fingerprint"] * 32
        if not wrong.get("ca_file", True):
            changes["ca_file"] = None
        sender = wrong.get("sender", f"{_NAME} <{_ADDRESS}>" if "username" in wrong else right.sender)
        # Without a username for sending, the mailbox has none either, which is not what goes wrong here.
        mailbox = right.mailbox if wrong.get("username") != "" else None
        return replace(right, sender=sender, server=replace(right.server, **changes), mailbox=mailbox)

    def _accounts(self) -> set[Account]:
        """Return its own accounts, those that sign in."""
        found = {
            settings.account
            for way in (Security.STARTTLS, Security.TLS)
            for settings in (self._smtp_settings(way), self._failing_settings(way))
        }
        found |= {self.settings_for(service.api).account for service in services.SERVICES}
        return {account for account in found if account.username}

    def __repr__(self) -> str:
        if self._open is None:
            return "<Sandbox, closed>"
        failing = f", failing: {self._scenario.name}" if self._scenario.name else ""
        return f"<Sandbox {self.host}:{self.port}{failing}, {count_mails(len(self.inbox))}>"


def _is_users_own(folder: Path) -> bool:
    try:
        return homes.Home.below(folder).outbox == homes.user_home().outbox
    except SettingsError:
        return False  # a user without a home can rehearse all the same


@contextmanager
def _explained(folder: Path | None) -> Iterator[None]:
    """Say in a sentence why a sandbox cannot write into its folder; None stands for one among the temporary files."""
    try:
        yield
    except OSError as exc:
        if folder is None:
            raise SettingsError(
                _(
                    "No sandbox can be opened: there is no folder for temporary files that can be used ({reason})."
                ).format(reason=exc.strerror or exc),
                hint=_("Make room on the disk, set TMPDIR to another folder, or give one: docmail.Sandbox(folder)."),
            ) from exc
        raise SettingsError(
            _("No sandbox can be opened in {folder}: {reason}.").format(folder=folder, reason=reason_of(exc, folder)),
            hint=_("Make room on the disk, allow writing to the folder, or use another folder."),
        ) from exc


@dataclass(frozen=True)
class _Open:
    """What a sandbox has while it is open; `running` ends what runs in this program."""

    folder: Path
    place: Place
    ca_file: Path
    inbox: Inbox
    folders: Folders
    failures: Failures | None = None
    """None for a sandbox that another program runs."""
    ports: Mapping[str, int] = field(default_factory=dict)
    """By the names that scenarios give them."""
    running: ExitStack = field(default_factory=ExitStack)
    process: int = field(default_factory=os.getpid)

    @property
    def home(self) -> homes.Home:
        return homes.Home.below(self.folder, rehearsal=True)


class _Shared:
    """The shared sandbox as this process has it; one, so that a cell may be run again."""

    lock = threading.Lock()
    box: Sandbox | None = None
