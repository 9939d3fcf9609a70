"""Senders who take their time, or everything there is: HubSpot is still answered, memory stays bounded."""

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.gate import PATIENCE_S, Visitor
from tests.receiver_server import head, log_of, serving, talk
from tests.receivers import change, packed, signed
from tests.running import wait_until

MEBIBYTE = 1024 * 1024
IDLE, HALF_A_HEAD, HALF_A_BODY = b"", b"POST /webhooks/hubspot HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"["
QUICK_S = 2.0


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "stagekeeper.db"


def beginning(kind: bytes) -> bytes:
    return head(signed(b"[]"), **{"Content-Length": "100000"}) + kind if kind == HALF_A_BODY else kind


@contextlib.contextmanager
def slow(port: int, number: int, *kinds: bytes) -> Iterator[list[socket.socket]]:
    """Open connections that send a byte at a time, each well before anybody would call it silent."""
    with contextlib.ExitStack() as stack:
        links = []
        for kind in itertools.islice(itertools.cycle(kinds), number):
            link = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            link.sendall(beginning(kind))
            links.append((link, kind))
        over = threading.Event()
        drip = threading.Thread(target=_drip, args=(links, over))
        drip.start()
        try:
            yield [link for link, _ in links]
        finally:
            over.set()
            drip.join()


def _drip(links: list[tuple[socket.socket, bytes]], over: threading.Event) -> None:
    while not over.wait(0.3):
        for link, kind in links:
            with contextlib.suppress(OSError):
                link.sendall(b" " if kind else b"")


def honest(port: int, contact: int) -> tuple[bytes, float]:
    """Send what HubSpot sends; gives the status and how long it took."""
    body = packed(*(change(contact * 1_000 + number) for number in range(100)))
    began = time.monotonic()
    answer = talk(port, head(signed(body), **{"Content-Length": str(len(body))}), body)
    return answer.split(b" ")[1] if answer else b"nothing", time.monotonic() - began


def is_over(link: socket.socket) -> bool:
    """Ask whether the other side has hung up."""
    link.setblocking(False)
    try:
        while link.recv(65_536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def memory_of(port: int) -> int:
    """Give the resident memory of the process that serves, which is the one with the most."""
    found = [0]
    for path in Path("/proc").iterdir():
        with contextlib.suppress(OSError, StopIteration):
            if path.name.isdecimal() and f"127.0.0.1:{port}".encode() in (path / "cmdline").read_bytes():
                lines = (path / "status").read_text().splitlines()
                found.append(next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")))
    return max(found) * 1024


def test_a_sender_without_end_is_hung_up_on(database: Path) -> None:
    with serving(database, patience_s=2) as port, slow(port, 3, IDLE, HALF_A_HEAD, HALF_A_BODY) as links:
        answers = [until_the_end(link) for link in links]
        assert [answer[:13] for answer in answers] == [b"", b"", b"HTTP/1.1 408 "]
        metrics = talk(port, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b'events_rejected_total{reason="too_slow"} 1.0' in metrics
        assert b"Traceback" not in log_of(database).read_bytes()


def until_the_end(link: socket.socket) -> bytes:
    """Read until the other side hangs up, which must be soon."""
    answer = b""
    link.settimeout(6)
    with contextlib.suppress(ConnectionResetError):
        while more := link.recv(65_536):
            answer += more
    return answer


def test_two_hundred_slow_senders_keep_nobody_waiting_and_are_gone_soon(database: Path) -> None:
    with serving(database) as port:
        honest(port, 0)
        before = memory_of(port)
        with slow(port, 200, IDLE, HALF_A_HEAD, HALF_A_BODY) as links:
            answers = []
            until = time.monotonic() + 9
            while time.monotonic() < until:
                answers.append(honest(port, len(answers) + 1))
            assert {status for status, _ in answers} == {b"204"}
            assert max(seconds for _, seconds in answers) < QUICK_S
            assert memory_of(port) - before < 100 * MEBIBYTE
            assert all(is_over(link) for link in links)


def test_more_connections_than_files_end_nothing(database: Path) -> None:
    with serving(database, files=200, patience_s=1) as port:
        assert honest(port, 1)[0] == b"204"
        with slow(port, 300, IDLE, HALF_A_HEAD):
            status, seconds = honest(port, 2)  # it waits until those before it have been hung up on
        assert (status, seconds < 25) == (b"204", True)
        log = log_of(database).read_text()
        assert "Too many open files" not in log
        assert "Worker (pid" not in log


def test_many_large_bodies_are_not_held_at_once(database: Path) -> None:
    """A body that nobody has signed yet may be anybody's; beyond a few large ones the answer is 503."""
    with serving(database, patience_s=3) as port, contextlib.ExitStack() as stack:
        honest(port, 1)
        before = memory_of(port)
        body = b" " * (2 * MEBIBYTE - 1)
        links = []
        for _ in range(120):
            link = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            link.settimeout(2)
            with contextlib.suppress(OSError):
                link.sendall(head(signed(b"[]"), **{"Content-Length": str(len(body) + 1)}) + body)
            links.append(link)
        assert memory_of(port) - before < 160 * MEBIBYTE
        assert honest(port, 2)[0] == b"204"
        statuses = set()
        for link in links:
            with contextlib.suppress(OSError):
                link.settimeout(12)
                statuses.add(link.recv(12)[9:12])
        assert statuses - {b""} <= {b"503", b"408"}


def test_a_reader_who_does_not_read_is_cut_off() -> None:
    ours, theirs = socket.socketpair()
    with theirs, Visitor(ours.family, ours.type, ours.proto, fileno=ours.detach()) as visitor:
        failures: list[OSError] = []

        def answer() -> None:
            try:
                visitor.sendall(b"x" * 64 * MEBIBYTE)
            except OSError as error:
                failures.append(error)

        sending = threading.Thread(target=answer)
        sending.start()
        wait_until(lambda: visitor.waits, what="sending")
        visitor.hang_up(time.monotonic() - 1)  # it has not waited for long
        assert sending.is_alive()
        visitor.hang_up(time.monotonic() + 1)  # reading ends, sending goes on
        assert sending.is_alive()
        visitor.hang_up(time.monotonic() + PATIENCE_S + 1)
        sending.join(10)
        assert [type(failure) for failure in failures] == [BrokenPipeError]
        assert (visitor.began, visitor.waits) == (None, False)
