"""Runs a real Postfix and Dovecot on free ports of 127.0.0.1, as an office mail server for tests.

```python
with RealMailServer() as server:
    smtplib.SMTP("localhost", server.ports.starttls)
    server.wait_for_mail("accounts@example.com")
```

Everything stands in one folder that goes away with the server, below /tmp if nothing else is said: configuration,
queue, mailboxes, logs. The instance in /etc/postfix is neither read nor changed. Needs root, because Postfix runs
its parts under several users.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.support.certificates import Certificates
from tests.support.requires import require_program, require_root
from tests.support.undertaker import Undertaker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

USERS: Final[Mapping[str, str]] = {
    "accounts@example.com": "app-password-1",
    "other@example.com": "app-password-2",
    "utf8@example.com": "pässwörd-ключ",
    # A local part beyond ASCII: reached with SMTPUTF8, and signing in with it.
    "müller@example.com": "app-password-3",
}
"""Who may sign in and receives mail, with the password. Each may send in its own name only."""

MESSAGE_SIZE_LIMIT: Final = 30 * 1024 * 1024

# Minimal, because Postfix and Dovecot obey variables such as MAIL_CONFIG.
_ENVIRONMENT: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
_POSTFIX_USER = "postfix"
_MAILBOX_ID = 65534  # nobody: the mailboxes of this server belong to no account of the machine


@dataclass(frozen=True)
class Ports:
    """Where the server listens on 127.0.0.1."""

    starttls: int
    """Submission: STARTTLS, then sign-in, both required."""
    tls: int
    """Submission with TLS from the first byte; sign-in required."""
    plain: int
    """Without TLS; sign-in possible, not required. As inside an office, or a scanner's relay."""


class RealMailServer:
    """An office mail server for example.com: sign-in, mailboxes, and refusals in a real server's own words.

    `settings` take the place of its own in Postfix's main.cf. For example
    `{"smtpd_discard_ehlo_keywords": "chunking"}`. `place` is where its folder is made: in memory (/dev/shm), it is as
    fast as such a server gets.
    """

    ports: Ports

    def __init__(self, settings: Mapping[str, str] | None = None, place: str = "/tmp") -> None:
        self._settings = dict(settings or {})
        self._place = place
        self._processes: list[subprocess.Popen[bytes]] = []
        self._undertaker: Undertaker | None = None
        self._folder = Path()

    @property
    def ca_file(self) -> Path:
        """What a client must trust to verify this server."""
        return self._folder / "certificates" / "ca.pem"

    def start(self) -> Self:
        """Start both servers and wait until every port answers."""
        require_root("A real mail server")
        require_program("dovecot", "postfix")
        # Not pytest's folder: only root may enter that, and the path of a socket is limited to 108
        # characters.
        self._folder = Path(tempfile.mkdtemp(prefix="docmail-mx-", dir=self._place))
        self._folder.chmod(0o755)
        try:
            self._configure()
            self._run(require_program("dovecot"), "-F", "-c", str(self._folder / "dovecot.conf"))
            # Not "postfix start-fg": its shell script leaves the daemon in a session that nobody here could
            # end.
            configuration = str(self._folder / "postfix")
            postfix = require_program("postfix")
            subprocess.run([postfix, "-c", configuration, "check"], check=True, env=_ENVIRONMENT)
            self._run(str(Path(_postconf("daemon_directory")) / "master"), "-d", "-c", configuration)
            self._undertaker = Undertaker(self._folder, [process.pid for process in self._processes])
            self._wait(self._answers, 30, "the mail server did not start")
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End every process of this server and remove its folder."""
        if self._undertaker:
            self._undertaker.dismiss()
            self._undertaker = None
        # Postfix first: it would log complaints about a missing Dovecot. Both end their children when asked
        # to; the second round is for those that did not listen.
        for signal_number in (signal.SIGTERM, signal.SIGKILL):
            for process in reversed(self._processes):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal_number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)
            with contextlib.suppress(TimeoutError):
                self._wait(lambda: not self._group_members(), 10, "processes remain")
        self._processes.clear()
        if self._folder != Path():
            shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self.stop()

    def mails(self, user: str) -> list[bytes]:
        """Return what arrived for this user, oldest first, as it lies in the mailbox (line ends LF)."""
        arrived = (self.maildir(user) / "new").glob("*")
        return [mail.read_bytes() for mail in sorted(arrived, key=lambda mail: (mail.stat().st_mtime_ns, mail.name))]

    def wait_for_mail(self, user: str, n: int = 1, timeout: float = 10) -> list[bytes]:
        """Return the user's mail as soon as there are `n`, or raise TimeoutError with the server's log."""
        self._wait(lambda: len(self.mails(user)) >= n, timeout, f"{user} has not received {n}")
        return self.mails(user)

    def log(self) -> str:
        """Return what Postfix and Dovecot have logged so far."""
        logs = (self._folder / "postfix.log", self._folder / "dovecot.log")
        return "".join(log.read_text("utf-8", "replace") for log in logs if log.exists())

    def clear(self) -> None:
        """Empty all mailboxes, after what is still on its way has arrived."""
        self._wait(lambda: not self._on_its_way(), 10, "the queue does not become empty")
        for user in USERS:
            for mail in (self.maildir(user) / "new").glob("*"):
                mail.unlink()

    def _on_its_way(self) -> bool:
        queue = self._folder / "queue"
        return any(any(files) for name in ("incoming", "active") for _, _, files in os.walk(queue / name))

    def maildir(self, user: str) -> Path:
        """Return the folder of a user's mailbox."""
        if user not in USERS:
            raise KeyError(user)
        return self._folder / "mail" / user

    def _answers(self) -> bool:
        for process in self._processes:
            if process.poll() is not None:
                message = f"a mail server ended by itself ({process.args!r}):\n{self.log()}"
                raise RuntimeError(message)
        if not (self._folder / "dovecot" / "auth-postfix").exists():
            return False
        for port in (self.ports.starttls, self.ports.tls, self.ports.plain):
            with socket.socket() as attempt:
                attempt.settimeout(1)
                if attempt.connect_ex(("127.0.0.1", port)):
                    return False
        return True

    def _wait(self, done: Callable[[], bool], seconds: float, otherwise: str) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                message = f"{otherwise} within {seconds:g} s\n{self.log()[-4000:]}"
                raise TimeoutError(message)
            time.sleep(0.02)

    def _run(self, program: str, *arguments: str) -> None:
        # Its own session, so that all of its children can be reached.
        command = [program, *arguments]
        with (self._folder / "console.log").open("ab") as console:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
                cwd="/",
                env=_ENVIRONMENT,
            )
        self._processes.append(process)

    def _group_members(self) -> list[int]:
        """Return the processes that still run in the sessions of this server."""
        sessions = {process.pid for process in self._processes}
        members = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    # man 5 proc, stat: the name may hold blanks and parentheses; behind it state, ppid, pgrp,
                    # session.
                    state, _ppid, _group, session, *_ = (entry / "stat").read_text().rpartition(")")[2].split()
                    if int(session) in sessions and state != "Z":
                        members.append(int(entry.name))
        return members

    # Configuration

    def _configure(self) -> None:
        (self._folder / "certificates").mkdir()
        certificate = Certificates(self._folder / "certificates").good()
        self.ports = Ports(*_free_ports(3))
        for folder in ("mail", "dovecot", "postfix", "queue", "data"):
            (self._folder / folder).mkdir()
        os.chown(self._folder / "mail", _MAILBOX_ID, _MAILBOX_ID)
        shutil.chown(self._folder / "data", _POSTFIX_USER)
        for user in USERS:
            for part in (".", "cur", "new", "tmp"):
                (self.maildir(user) / part).mkdir(exist_ok=True)
                os.chown(self.maildir(user) / part, _MAILBOX_ID, _MAILBOX_ID)

        accounts = "".join(f"{user}:{{PLAIN}}{password}\n" for user, password in USERS.items())
        self._write("accounts", accounts)
        accounts_of = _ACCOUNTS_2_4 if _dovecot_version() >= (2, 4) else _ACCOUNTS_2_3
        self._write("dovecot.conf", (accounts_of + _DOVECOT).format(folder=self._folder))
        self._write("postfix/mailboxes", "".join(f"{user} {user}/\n" for user in USERS))
        self._write("postfix/owners", "".join(f"{user} {user}\n" for user in USERS))
        main = _MAIN_CF.format(
            folder=self._folder,
            certificate=certificate,
            limit=MESSAGE_SIZE_LIMIT,
            mailbox_id=_MAILBOX_ID,
            user=_POSTFIX_USER,
        )
        # None twice: each program of Postfix warns of that, and those that start before its log does wait for it.
        lines = [line for line in main.splitlines() if line.partition(" = ")[0] not in self._settings]
        lines += [f"{key} = {value}" for key, value in self._settings.items()]
        self._write("postfix/main.cf", "\n".join(lines) + "\n")
        self._write("postfix/master.cf", _MASTER_CF.format(ports=self.ports))

    def _write(self, name: str, text: str) -> None:
        (self._folder / name).write_text(text, "utf-8")


def _postconf(name: str) -> str:
    """Return a setting that was compiled into Postfix."""
    command = [require_program("postconf"), "-d", "-h", name]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=_ENVIRONMENT).stdout.strip()


def _dovecot_version() -> tuple[int, ...]:
    """Return the version of the Dovecot that is installed, as far as its configuration depends on it: (2, 4)."""
    command = [require_program("dovecot"), "--version"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, env=_ENVIRONMENT).stdout
    return tuple(int(number) for number in printed.split(".")[:2])


def _free_ports(number: int) -> list[int]:
    # All are held until all are known, so that they differ.
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


# Dovecot only checks passwords here; Postfix puts the mail into the mailboxes itself, because Dovecot's LMTP
# does not take addresses beyond ASCII.
_DOVECOT: Final = """\
base_dir = {folder}/dovecot
state_dir = {folder}/dovecot
log_path = {folder}/dovecot.log
auth_verbose = yes
ssl = no
protocols =
auth_mechanisms = plain login
# Empty: every character is allowed in a user name.
auth_username_chars =
# A refusal comes at once, also the tenth from the same address; the tests make many.
auth_failure_delay = 0
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  unix_listener auth-postfix {{
    mode = 0666
  }}
}}
"""

# Where the accounts stand. Dovecot 2.4 reads nothing of this in 2.3's words, and wants its own version said first.
_ACCOUNTS_2_3: Final = """\
passdb {{
  driver = passwd-file
  args = username_format=%u {folder}/accounts
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={folder}/mail/%u
}}
"""
_ACCOUNTS_2_4: Final = """\
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
passdb passwd-file {{
  auth_username_format = %{{user}}
  passwd_file_path = {folder}/accounts
}}
userdb static {{
  fields {{
    uid = nobody
    gid = nogroup
    home = {folder}/mail/%{{user}}
  }}
}}
"""

_MAIN_CF: Final = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
mail_owner = {user}
setgid_group = postdrop
maillog_file = {folder}/postfix.log
maillog_file_prefixes = {folder}

myhostname = mail.example.com
mydomain = example.com
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
inet_protocols = ipv4
inet_interfaces = 127.0.0.1
# No question leaves this computer.
smtpd_peername_lookup = no
default_transport = error:5.7.1 this server delivers nowhere else
relay_transport = error:5.7.1 this server delivers nowhere else

smtputf8_enable = yes
message_size_limit = {limit}
virtual_mailbox_limit = 0
virtual_mailbox_domains = example.com
virtual_mailbox_maps = texthash:{folder}/postfix/mailboxes
virtual_mailbox_base = {folder}/mail
virtual_uid_maps = static:{mailbox_id}
virtual_gid_maps = static:{mailbox_id}
virtual_minimum_uid = 1

smtpd_tls_chain_files = {certificate.key}, {certificate.chain}
smtpd_sasl_type = dovecot
smtpd_sasl_path = {folder}/dovecot/auth-postfix
smtpd_sasl_auth_enable = yes
smtpd_sender_login_maps = texthash:{folder}/postfix/owners
# permit_sasl_authenticated stands nowhere here: nobody may send to other domains.
smtpd_relay_restrictions = reject_unauth_destination
smtpd_reject_unlisted_recipient = yes
"""

# chroot is "n" throughout: a chroot would need copies of files of the system below our queue.
_MASTER_CF: Final = """\
127.0.0.1:{ports.starttls} inet n - n - - smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
  -o smtpd_tls_auth_only=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
  -o smtpd_sender_restrictions=reject_sender_login_mismatch
127.0.0.1:{ports.tls} inet n - n - - smtpd
  -o syslog_name=postfix/submissions
  -o smtpd_tls_wrappermode=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
  -o smtpd_sender_restrictions=reject_sender_login_mismatch
127.0.0.1:{ports.plain} inet n - n - - smtpd
  -o smtpd_tls_security_level=none
  -o smtpd_sender_restrictions=reject_authenticated_sender_login_mismatch
pickup    unix  n - n 60    1 pickup
cleanup   unix  n - n -     0 cleanup
qmgr      unix  n - n 300   1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n -     - trivial-rewrite
bounce    unix  - - n -     0 bounce
defer     unix  - - n -     0 bounce
trace     unix  - - n -     0 bounce
verify    unix  - - n -     1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n -     - proxymap
proxywrite unix - - n -     1 proxymap
smtp      unix  - - n -     - smtp
showq     unix  n - n -     - showq
error     unix  - - n -     - error
retry     unix  - - n -     - error
discard   unix  - - n -     - discard
virtual   unix  - n n -     - virtual
anvil     unix  - - n -     1 anvil
scache    unix  - - n -     1 scache
postlog   unix-dgram n - n - 1 postlogd
"""
