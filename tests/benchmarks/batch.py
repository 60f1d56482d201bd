"""1,000 mails: docmail against yagmail, red-mail, python-emails and aiosmtplib.

Each measurement is a process of its own. The servers are Postfix's smtp-sink (plain) and a whole Postfix with Dovecot
(TLS, sign-in, PIPELINING, CHUNKING), for some behind a proxy that delays every byte by 50 ms in each direction.
docmail's time is that of everything: making the messages, the journal, the copies in its spool, the sending.

Server and client share the computer, so a slow server makes all of them alike. Postfix therefore has its queue in
memory and does not begin new processes after every hundred mails; how it is with its queue on the disk is measured
beside it.

The peers keep their connection, which some do only when told to. docmail opens four, as one of the peers does; docmail1
is docmail with one.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque

from tests.benchmarks._sink import sink
from tests.support.mailserver import USERS, RealMailServer

DELAY = 0.05
MAILS = int(os.environ.get("DOCMAIL_BENCH_MAILS", "1000"))
FAR_MAILS = max(MAILS // 5, 20)  # at 0.4 s each, a peer needs as long for them as for all the others near by
SENDER = "accounts@example.com"
DISCARDING = {"message_size_limit": "0", "virtual_transport": "discard:"}
PEERS = ("yagmail", "redmail", "emails", "aiosmtplib", "aiosmtplib4")

CHILD = """
import asyncio, json, os, re, resource, ssl, sys, time, warnings
warnings.simplefilter("ignore")
kind, host, port, username, password, ca_file, number, size, shared = sys.argv[1:]
port, number, size, shared = int(port), int(number), int(size), shared == "shared"
sender, recipient = "accounts@example.com", "other@example.com"
common = b"%PDF-1.4" + os.urandom(max(size - 13, 1)) + b"%%EOF"
def content(each):
    return common if shared else b"%%PDF-1.4 %09d" % each + common[18:]
context = ssl.create_default_context(cafile=ca_file or None)
def library_message(each):
    from email.message import EmailMessage
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, recipient, f"No. {each}"
    message.set_content("Attached.")
    message.add_alternative("<p>Attached.</p>", subtype="html")
    if size:
        message.add_attachment(content(each), maintype="application", subtype="pdf", filename="a.pdf")
    return message

if kind in {"docmail", "docmail1"}:
    import docmail, dataclasses
    if kind == "docmail1":
        docmail.Outbox.limits = dataclasses.replace(docmail.Outbox.limits, extra_connections=0)
    from docmail.settings import Security
    import docmail.outbox, docmail.transport.smtp.transport, mistune, email_validator, filelock
    server = docmail.SmtpServer(host, port, None if username else Security.NONE, username, ca_file=ca_file or None)
    settings = docmail.Settings(f"A <{sender}>", server)
    if username:
        docmail.credentials.set(settings, password, remember=False)
    document = docmail.Document.of(common, name="a.pdf")
    def messages():
        for each in range(number):
            documents = () if not size else document if shared else docmail.Document.of(content(each), name="a.pdf")
            yield docmail.Message(recipient, f"No. {each}", "Attached.", documents, key=str(each))
    def run():
        outbox = docmail.Outbox()
        outbox.add_all(messages(), batch="b", settings=settings)
        began = time.perf_counter()
        counts = outbox.run(settings=settings)
        assert counts == {"sent": number}, counts
        return time.perf_counter() - began
elif kind in {"limit", "limit4"}:
    import base64, smtplib, socket, threading
    body = b"Subject: x\\r\\n\\r\\n" + b"\\r\\n".join(
        base64.b64encode(common[start:start + 57]) for start in range(0, size, 57)) + b"\\r\\n"
    envelope = f"MAIL FROM:<{sender}>\\r\\nRCPT TO:<{recipient}>\\r\\n".encode()
    whole = envelope + b"BDAT %d LAST\\r\\n" % len(body) + body
    def connected():
        smtp = smtplib.SMTP(host, port)
        smtp.ehlo()
        if username:
            smtp.starttls(context=context); smtp.ehlo(); smtp.login(username, password)
        smtp.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return smtp
    def work(smtp, mails):
        replies = smtp.sock.makefile("rb")
        def answer():
            smtp.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            return replies.readline()
        for each in range(mails):
            if smtp.has_extn("chunking"):
                smtp.sock.sendall(whole)
                got = [answer() for _ in range(3)]
            else:
                got = []
                for piece in (*envelope.splitlines(keepends=True), b"DATA\\r\\n", body + b".\\r\\n"):
                    smtp.sock.sendall(piece)
                    got.append(answer())
            assert got[-1].startswith(b"250"), got
    connections = [connected() for _ in range(4 if kind == "limit4" else 1)]
    def run():
        mails = number // len(connections)
        threads = [threading.Thread(target=work, args=(smtp, mails)) for smtp in connections]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
elif kind == "yagmail":
    import yagmail, io
    if username:
        smtp = yagmail.SMTP(sender, password, host=host, port=port, smtp_starttls=True, smtp_ssl=False)
    else:
        smtp = yagmail.SMTP(sender, "", host=host, port=port, smtp_starttls=False, smtp_ssl=False, smtp_skip_login=True)
        smtp.login = lambda: None
    def run():
        import smtplib
        smtp.smtp = smtplib.SMTP(host, port)
        if username:
            smtp.smtp.starttls(context=context); smtp.smtp.login(username, password)
        smtp.login = lambda: None
        smtp.is_closed = False
        for each in range(number):
            raw = io.BytesIO(content(each)); raw.name = "a.pdf"
            smtp.send(recipient, f"No. {each}", "Attached.", attachments=[raw] if size else None)
elif kind == "redmail":
    from redmail import EmailSender
    email = EmailSender(host=host, port=port, username=username or None, password=password or None,
                        use_starttls=bool(username)) if username else EmailSender(
                        host=host, port=port, use_starttls=False)
    def run():
        with email:
            for each in range(number):
                email.send(sender=sender, receivers=[recipient], subject=f"No. {each}", text="Attached.",
                           html="<p>Attached.</p>", attachments={"a.pdf": content(each)} if size else None)
elif kind == "emails":
    import emails
    from emails.backend.smtp import SMTPBackend
    options = {"tls": True, "user": username, "password": password} if username else {}
    backend = SMTPBackend(host=host, port=port, fail_silently=False, **options)
    def run():
        for each in range(number):
            message = emails.Message(subject=f"No. {each}", text="Attached.", html="<p>Attached.</p>", mail_from=sender)
            if size:
                message.attach(filename="a.pdf", data=content(each), mime_type="application/pdf")
            response = message.send(to=recipient, smtp=backend)
            assert response.status_code == 250, response
else:
    import aiosmtplib
    async def work(numbers):
        client = aiosmtplib.SMTP(hostname=host, port=port, tls_context=context, start_tls=bool(username),
                                 username=username or None, password=password or None)
        async with client:
            for each in numbers:
                await client.send_message(library_message(each))
    def run():
        connections = 4 if kind.endswith("4") else 1
        async def everything():
            await asyncio.gather(*(work(range(first, number, connections)) for first in range(connections)))
        asyncio.run(everything())

def megabytes(line):
    return int(re.search(line + r":\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1000
open("/proc/self/clear_refs", "w").write("5")
memory, cpu, wall = megabytes("VmRSS"), time.process_time(), time.perf_counter()
sending = run()
wall = time.perf_counter() - wall
print(json.dumps({"wall": wall, "sending": sending or wall, "cpu": time.process_time() - cpu,
                  "memory": megabytes("VmHWM") - memory}))
"""


def _place(server: RealMailServer, port: int = 0) -> tuple[str, int, str, str]:
    return "localhost", port or server.ports.starttls, SENDER, str(server.ca_file)


def _measure(
    kind: str,
    place: tuple[str, int, str, str],
    number: int,
    size: int,
    shared: bool = False,  # noqa: FBT001, FBT002
) -> dict[str, float]:
    host, port, username, ca_file = place
    with tempfile.TemporaryDirectory() as home:
        arguments = [kind, host, str(port), username, USERS.get(username, ""), ca_file, str(number), str(size)]
        environment = {**os.environ, "DOCMAIL_HOME": home, "HOME": home}
        if ca_file:
            environment["SSL_CERT_FILE"] = ca_file
        result = subprocess.run(
            [sys.executable, "-c", CHILD, *arguments, "shared" if shared else "own"],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
    if result.returncode:
        if os.environ.get("DOCMAIL_BENCH_VERBOSE"):
            print(result.stderr)
        print(f"  {kind:12} failed: {result.stderr.strip().splitlines()[-1] if result.stderr else '?'}")
        return {}
    figures: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return figures


class DelayingProxy:
    """Passes bytes on in both directions, each after the same time, however many there are."""

    def __init__(self, target: tuple[str, int], delay: float) -> None:
        self._target, self._delay = target, delay
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _address = self._listener.accept()
            server = socket.create_connection(self._target)
            for one, other in ((client, server), (server, client)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._pass_on(one, other)

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        waiting: deque[tuple[float, bytes]] = deque()
        news = threading.Condition()

        def read() -> None:
            data = b"-"
            while data:
                try:
                    data = one.recv(262_144)
                except OSError:
                    data = b""
                with news:
                    waiting.append((time.monotonic() + self._delay, data))
                    news.notify()

        def write() -> None:
            data = b"-"
            while data:
                with news:
                    while not waiting:
                        news.wait()
                    moment, data = waiting.popleft()
                time.sleep(max(moment - time.monotonic(), 0))
                with contextlib.suppress(OSError):
                    if data:
                        other.sendall(data)
                    else:
                        other.shutdown(socket.SHUT_WR)

        for work in (read, write):
            threading.Thread(target=work, daemon=True).start()


def _compare(title: str, place: tuple[str, int, str, str], number: int, size: int, *, shared: bool = False) -> None:
    print(f"{title}: {number} mails of {size // 1000} kB")
    figures = {}
    for kind in ("docmail", "docmail1", *PEERS):
        if found := _measure(kind, place, number, size, shared):
            figures[kind] = found
            print(
                f"  {kind:12} {number / found['wall']:8.1f} mails/s  {1000 * found['cpu'] / number:7.2f} ms CPU a mail"
                f"  {found['memory']:6.1f} MB"
            )
    ours = figures.pop("docmail")
    figures.pop("docmail1")
    for kind, connections in (("limit", "one connection"), ("limit4", "four")):
        if limit := _measure(kind, place, number, size, shared):
            print(
                f"  the server's own limit, {connections} (the same octets, made before):"
                f" {number / limit['wall']:.1f} mails/s; docmail reaches {limit['wall'] / ours['wall']:.0%} of it"
                f" ({limit['wall'] / ours['sending']:.0%} without making them)"
            )
    for name, others in (
        ("one connection", [each for kind, each in figures.items() if kind != "aiosmtplib4"]),
        ("all", list(figures.values())),
    ):
        fastest, thriftiest = min(each["wall"] for each in others), min(each["cpu"] for each in others)
        print(
            f"  against the best peer, {name}: {fastest / ours['wall']:.1f} times the mails/s"
            f" ({fastest / ours['sending']:.1f} times without making them), {ours['cpu'] / thriftiest:.2f} of its CPU"
        )


def main() -> None:
    """Print mails per second, CPU time and memory of all, and docmail's ratio to the best of the others."""
    with sink() as port:
        place = ("127.0.0.1", port, "", "")
        _compare("Plain, to smtp-sink", place, MAILS, 100_000)
        _compare("One shared attachment, plain, to smtp-sink", place, MAILS, 100_000, shared=True)
        costs = {number: _measure("docmail", place, number, 100_000) for number in (MAILS // 10, 5 * MAILS)}
        few, many = (found["cpu"] / number * 1000 for number, found in costs.items())
        print(
            f"docmail alone: {few:.2f} ms CPU a mail at {MAILS // 10}, {many:.2f} at {5 * MAILS} (wanted: within 10 %);"
            f" memory {costs[MAILS // 10]['memory']:.1f} and {costs[5 * MAILS]['memory']:.1f} MB"
        )
        large = {kind: _measure(kind, place, 1, 20_000_000, shared=True) for kind in ("docmail", *PEERS[:4])}
        best = min(found["cpu"] for kind, found in large.items() if found and kind != "docmail")
        print(
            f"20 MB attachment: {large['docmail']['cpu'] / best:.2f} of the best peer's CPU (wanted: 0.2),"
            f" {large['docmail']['memory']:.1f} MB beyond the content (wanted: 5)"
        )
    with RealMailServer(DISCARDING) as server:
        _compare("TLS and sign-in, to Postfix with its queue on the disk", _place(server), MAILS, 100_000)
    with RealMailServer({**DISCARDING, "max_use": "100000"}, place="/dev/shm") as server:
        delayed = DelayingProxy(("127.0.0.1", server.ports.starttls), DELAY)
        direct, far = _place(server), _place(server, delayed.port)
        _compare("TLS and sign-in, to Postfix", direct, MAILS, 100_000)
        _compare("One shared attachment, TLS and sign-in, to Postfix", direct, MAILS, 100_000, shared=True)
        _compare("The same, 50 ms away", far, FAR_MAILS, 100_000)
        small = _measure("docmail1", far, FAR_MAILS, 0)
        trips = small["sending"] / FAR_MAILS / (2 * DELAY)
        print(f"Small mails, 50 ms away, one connection: {trips:.2f} round trips a mail (wanted: 1.3)")
