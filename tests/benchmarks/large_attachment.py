"""One 20 MB attachment, built and sent: docmail against EmailMessage.add_attachment + smtplib.send_message.

Wanted: at most a quarter of the CPU time, at most 10 MB of memory beyond the content. Each measurement is a process of
its own; the servers (Postfix's smtp-sink for plain, a whole Postfix for TLS with sign-in) are others, so that the
figures are the client's alone. docmail's includes its journal and the copy in its spool.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks._sink import sink
from tests.support.mailserver import USERS, RealMailServer

SIZE = 20_000_000
RUNS = 5

CHILD = """
import json, os, re, sys, time
kind, host, port, username, password, ca_file = sys.argv[1:]
content = b"%PDF-1.4" + os.urandom({size} - 13) + b"%%EOF"
if kind == "docmail":
    import docmail
    from docmail.settings import Security
    import docmail.outbox, docmail.transport.smtp.transport, mistune, email_validator, email.mime.text, filelock
    settings = docmail.Settings("A", docmail.SmtpServer(host, int(port), None if username else Security.NONE, username,
        ca_file=ca_file or None) if username else docmail.SmtpServer(host, int(port), Security.NONE), home=None)
    if not username:
        settings = docmail.Settings("A <accounts@example.com>", settings.server)
    else:
        docmail.credentials.set(settings, password, remember=False)
    send = lambda: docmail.send(docmail.Document.of(content, name="a.pdf"), to="other@example.com", subject="Q3",
                                body="Attached.", settings=settings)
else:
    import smtplib, ssl
    from email.message import EmailMessage
    def send():
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = "accounts@example.com", "other@example.com", "Q3"
        message.set_content("Attached.")
        message.add_alternative("<p>Attached.</p>", subtype="html")
        message.add_attachment(content, maintype="application", subtype="pdf", filename="a.pdf")
        with smtplib.SMTP(host, int(port)) as server:
            if username:
                server.starttls(context=ssl.create_default_context(cafile=ca_file))
                server.login(username, password)
            server.send_message(message)
def megabytes(line):
    status = open("/proc/self/status").read()
    return int(re.search(line + r":\\s+(\\d+)", status)[1]) / 1000
open("/proc/self/clear_refs", "w").write("5")  # Linux: the peak begins anew, at what the content takes
memory, cpu, wall = megabytes("VmRSS"), time.process_time(), time.perf_counter()
send()
print(json.dumps([time.process_time() - cpu, megabytes("VmHWM") - memory, time.perf_counter() - wall]))
"""


def _measure(kind: str, host: str, port: int, username: str, ca_file: str) -> tuple[float, float, float]:
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "DOCMAIL_HOME": home}
        arguments = [kind, host, str(port), username, USERS.get(username, ""), ca_file]
        result = subprocess.run(
            [sys.executable, "-c", CHILD.replace("{size}", str(SIZE)), *arguments],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
    cpu, memory, wall = json.loads(result.stdout)
    return cpu, memory, wall


def _compare(title: str, host: str, port: int, username: str = "", ca_file: str = "") -> None:
    taken: dict[str, list[tuple[float, float, float]]] = {"smtplib": [], "docmail": []}
    for _run in range(RUNS):
        for kind, figures in taken.items():
            figures.append(_measure(kind, host, port, username, ca_file))
    print(f"{SIZE // 1_000_000} MB attachment, {title}, median of {RUNS} runs")
    for kind, figures in taken.items():
        cpu, memory, wall = (statistics.median(column) for column in zip(*figures, strict=True))
        print(f"  {kind:10} {cpu:6.3f} s CPU  {wall:6.3f} s  {memory:6.1f} MB beyond the content")
    ratios = [ours[0] / theirs[0] for ours, theirs in zip(taken["docmail"], taken["smtplib"], strict=True)]
    print(f"  CPU ratio  {statistics.median(ratios):6.3f}        (wanted: at most 0.25)")


def main() -> None:
    """Print CPU time, elapsed time and memory of both, and the ratio of CPU times run by run."""
    with sink() as port:
        _compare("plain, to smtp-sink", "127.0.0.1", port)
    with RealMailServer() as server:
        ca_file = str(Path(server.ca_file))
        _compare("TLS and sign-in, to Postfix", "localhost", server.ports.starttls, "accounts@example.com", ca_file)
