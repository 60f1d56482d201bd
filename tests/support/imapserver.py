"""A real Dovecot that opens mailboxes (IMAP) on free ports of 127.0.0.1, beside `RealMailServer`'s in the same words.

```python
with ImapServer() as server:
    imaplib.IMAP4_SSL("localhost", server.tls, ssl_context=...)
```

`ann@example.com` has folders with special uses, `bob@example.com` none at all, `full@example.com` a quota of 200 kB.
With `oauth`, the URL of an introspection endpoint (RFC 7662), tokens let in as well.
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
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.support.certificates import Certificates
from tests.support.mailserver import _dovecot_version, _free_ports
from tests.support.requires import require_program, require_root
from tests.support.undertaker import Undertaker

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

PASSWORD: Final = "app-password, ключ"

# Which of the namespaces below are a user's. The folders of nested@ stand below INBOX, as at Courier, cPanel and many
# hosters.
_OF_USER: Final = {
    "ann@example.com": "userdb_namespace/inbox/disabled=no",
    "bob@example.com": "userdb_namespace/bare/disabled=no",
    "full@example.com": "userdb_namespace/inbox/disabled=no {quota}",
    "nested@example.com": "userdb_namespace/nested/disabled=no",
}
USERS: Final = tuple(_OF_USER)


class ImapServer:
    """Dovecot with mailboxes; its folder goes away with it."""

    def __init__(self, oauth: str = "") -> None:
        self._oauth = oauth
        self._folder = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._undertaker: Undertaker | None = None
        self.starttls, self.tls = 0, 0

    @property
    def ca_file(self) -> Path:
        """What a client must trust to verify this server."""
        return self._folder / "certificates" / "ca.pem"

    def log(self) -> str:
        """Return what Dovecot has logged so far."""
        path = self._folder / "dovecot.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def files(self, user: str) -> list[Path]:
        """Return the files of all mails of a user."""
        return [each for each in (self._folder / "mail" / user).rglob("*") if each.parent.name in {"cur", "new"}]

    def maildir(self, user: str) -> Path:
        """Return the folder of a user's inbox, made if there is none yet, for another server to deliver into."""
        place = self._folder / "mail" / user / "Maildir"
        for each in (place.parent, place, *(place / part for part in ("cur", "new", "tmp"))):
            each.mkdir(exist_ok=True)
            shutil.chown(each, "nobody", "nogroup")
        return place

    def clear(self) -> None:
        """Take everything out of the mailboxes that a test may have put there."""
        for user in USERS:
            shutil.rmtree(self._folder / "mail" / user, ignore_errors=True)

    def __enter__(self) -> Self:
        require_root("A real mail server")
        program = require_program("dovecot")
        self._folder = Path(tempfile.mkdtemp(prefix="docmail-imap-", dir="/tmp"))
        self._folder.chmod(0o755)
        (self._folder / "certificates").mkdir()
        certificate = Certificates(self._folder / "certificates").good()
        self.starttls, self.tls = _free_ports(2)
        for name in ("mail", "run"):
            (self._folder / name).mkdir()
        shutil.chown(self._folder / "mail", "nobody", "nogroup")
        new = _dovecot_version() >= (2, 4)
        home = f"{self._folder}/mail"
        quota = "userdb_quota_storage_size=200K" if new else "userdb_quota_rule=*:storage=200K"
        accounts = "".join(
            f"{user}:{{PLAIN}}{PASSWORD}:65534:65534::{home}/{user}::{extra.format(quota=quota)}\n"
            for user, extra in _OF_USER.items()
        )
        (self._folder / "accounts").write_text(accounts, "utf-8")
        words = (_OF_2_4 if new else _OF_2_3) + _DOVECOT
        if self._oauth:
            words += _OAUTH_2_4 if new else _OAUTH_2_3
        mechanisms = " xoauth2 oauthbearer" if self._oauth else ""
        values = {
            "mechanisms": mechanisms,
            "listen": "listen" if new else "address",
            "folder": self._folder,
            "ports": self,
            "certificate": certificate,
            "introspection": self._oauth,
        }
        (self._folder / "dovecot.conf").write_text(words.format(**values), "utf-8")
        (self._folder / "oauth2.conf").write_text(_INTROSPECTION.format(**values), "utf-8")
        with (self._folder / "console.log").open("ab") as console:
            self._process = subprocess.Popen(
                [program, "-F", "-c", str(self._folder / "dovecot.conf")],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
                cwd="/",
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
            )
        self._undertaker = Undertaker(self._folder, [self._process.pid])
        end = time.monotonic() + 30
        while not self._answers():
            if time.monotonic() > end or self._process.poll() is not None:
                said = self.log() + (self._folder / "console.log").read_text("utf-8", "replace")
                self.__exit__(None, None, None)
                raise TimeoutError(said)
            time.sleep(0.02)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        if self._undertaker:
            self._undertaker.dismiss()
            self._undertaker = None
        if self._process is not None:
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(10)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answers(self) -> bool:
        for port in (self.starttls, self.tls):
            with socket.socket() as attempt:
                attempt.settimeout(1)
                if attempt.connect_ex(("127.0.0.1", port)):
                    return False
        return True


# What both versions of Dovecot understand.
_DOVECOT: Final = """\
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/dovecot.log
auth_verbose = yes
protocols = imap
ssl = yes
auth_mechanisms = plain login{mechanisms}
auth_username_chars =
auth_failure_delay = 0
first_valid_uid = 1
first_valid_gid = 1
namespace inbox {{
  inbox = yes
  separator = /
  disabled = yes
  mailbox Drafts {{
    special_use = \\Drafts
    auto = create
  }}
  mailbox Verstuur {{
    special_use = \\Sent
    auto = create
  }}
}}
namespace bare {{
  inbox = yes
  separator = /
  disabled = yes
}}
namespace nested {{
  inbox = yes
  separator = .
  prefix = INBOX.
  disabled = yes
}}
service imap-login {{
  inet_listener imap {{
    {listen} = 127.0.0.1
    port = {ports.starttls}
  }}
  inet_listener imaps {{
    {listen} = 127.0.0.1
    port = {ports.tls}
    ssl = yes
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""
_OF_2_3: Final = """\
ssl_cert = <{certificate.chain}
ssl_key = <{certificate.key}
disable_plaintext_auth = yes
mail_plugins = quota
mail_location = maildir:~/Maildir
protocol imap {{
  mail_plugins = quota imap_quota
  mail_max_userip_connections = 100
}}
plugin {{
  quota = maildir:User quota
}}
passdb {{
  driver = passwd-file
  args = username_format=%u {folder}/accounts
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {folder}/accounts
}}
"""
_OF_2_4: Final = """\
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
ssl_server_cert_file = {certificate.chain}
ssl_server_key_file = {certificate.key}
auth_allow_cleartext = no
mail_driver = maildir
mail_path = ~/Maildir
mail_plugins {{
  quota = yes
}}
protocol imap {{
  mail_plugins {{
    imap_quota = yes
  }}
  mail_max_userip_connections = 100
}}
quota "User quota" {{
}}
passdb passwd-file {{
  auth_username_format = %{{user}}
  passwd_file_path = {folder}/accounts
}}
userdb passwd-file {{
  auth_username_format = %{{user}}
  passwd_file_path = {folder}/accounts
}}
"""
_OAUTH_2_3: Final = """\
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/oauth2.conf
}}
"""
_OAUTH_2_4: Final = """\
passdb oauth2 {{
  mechanisms_filter = xoauth2 oauthbearer
}}
oauth2 {{
  introspection_mode = post
  introspection_url = {introspection}
  username_attribute = username
  active_attribute = active
  active_value = true
}}
"""
_INTROSPECTION: Final = """\
introspection_url = {introspection}
introspection_mode = post
username_attribute = username
active_attribute = active
active_value = true
"""
