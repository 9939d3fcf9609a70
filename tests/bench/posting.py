"""Signed webhooks as a burst of HubSpot's brings them, and clients that cost next to nothing beside the servers."""

import base64
import hmac
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import orjson

from connector.moments import system_clock

SECRET = "bench-client-secret-0123456789abcdef"
URL = "https://hooks.example.com/webhooks/hubspot"
PORTAL = 4242
EVENTS = 100
_LONGEST_S = 15.0  # three times as long as HubSpot waits
PROPERTIES = ("sk_intent", "sk_need", "sk_engagement", "lifecyclestage")


@dataclass(frozen=True, slots=True)
class Posted:
    """What became of requests."""

    rate: float
    """A second, of those that were answered 204."""
    took: list[float]
    cpu_ms: float | None
    """The server's processor time for one; None where the system does not tell."""
    failed: int


def sign(body: bytes, stamp: str) -> str:
    """Sign as HubSpot does."""
    source = b"POST" + URL.encode() + body + stamp.encode()
    return base64.b64encode(hmac.digest(SECRET.encode(), source, "sha256")).decode()


def make_requests(number: int, *, contacts: int, seed: int) -> list[bytes]:
    """Make whole HTTP requests, so that the client costs next to nothing while it is measured.

    A request is what a burst looks like: one write sets several properties of a contact, which gives as many events of
    the very same moment, and the writes of a batch follow each other within a tenth of a second.
    """
    chance = random.Random(seed)
    started = system_clock()
    return [_request(orjson.dumps(_burst(chance, started + 50 * at, contacts))) for at in range(number)]


def _burst(chance: random.Random, moment: int, contacts: int) -> list[dict[str, object]]:
    events = []
    for _ in range(EVENTS // len(PROPERTIES)):
        contact = 541_935_488_729 + chance.randrange(contacts)
        occurred_at = moment - chance.randrange(100)
        events += [_event(chance, contact, name, occurred_at) for name in PROPERTIES]
    chance.shuffle(events)
    return events


def _event(chance: random.Random, contact: int, name: str, occurred_at: int) -> dict[str, object]:
    return {
        "eventId": chance.getrandbits(32), "subscriptionId": 7562680, "portalId": PORTAL, "appId": 50780459,
        "occurredAt": occurred_at, "subscriptionType": "contact.propertyChange",
        "attemptNumber": 0, "objectId": contact, "propertyName": name,
        "propertyValue": "interested", "changeSource": "CRM_UI", "sourceId": "userId:98499705",
    }  # fmt: skip


def _request(body: bytes) -> bytes:
    stamp = str(system_clock())
    head = (
        "POST /webhooks/hubspot HTTP/1.1\r\nHost: hooks.example.com\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nX-HubSpot-Signature-v3: {sign(body, stamp)}\r\n"
        f"X-HubSpot-Request-Timestamp: {stamp}\r\n\r\n"
    )
    return head.encode() + body


def post_all(
    port: int, requests: list[bytes], *, connections: int, pid: int | None = None, must_succeed: bool = True
) -> Posted:
    """Post every request once over so many connections; one that fails is not opened again."""
    took: list[float] = []
    turn = count()
    spent, began = processor_time(pid), time.perf_counter()

    def post() -> None:
        link = None
        with suppress(OSError):
            while (at := next(turn)) < len(requests):
                sent = time.perf_counter()
                link = link or _connect(port)
                answer = _post(link, requests[at])
                if not answer.startswith(b"HTTP/1.1 204"):
                    return
                took.append(time.perf_counter() - sent)
                if b"connection: close" in answer.lower():
                    link.close()
                    link = None
        if link is not None:
            link.close()

    threads = [threading.Thread(target=post) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if must_succeed and len(took) < len(requests):
        raise SystemExit(f"{len(requests) - len(took)} requests were not answered 204")
    rate, after = len(took) / (time.perf_counter() - began), processor_time(pid)
    cpu_ms = None if spent is None or after is None or not took else (after - spent) / len(took) * 1_000
    return Posted(rate, took, cpu_ms, len(requests) - len(took))


def _connect(port: int) -> socket.socket:
    link = socket.create_connection(("127.0.0.1", port), timeout=_LONGEST_S)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def _post(link: socket.socket, request: bytes) -> bytes:
    link.sendall(request)
    answer = b""
    while b"\r\n\r\n" not in answer:
        if not (more := link.recv(4_096)):
            return b""
        answer += more
    return answer


@contextmanager
def slow_senders(port: int, number: int) -> Iterator[Callable[[], int]]:
    """Hold so many connections, each of which sends a byte of its request now and then; tells how many are held."""
    over = threading.Event()
    links: list[socket.socket] = []
    head = b"POST /webhooks/hubspot HTTP/1.1\r\nHost: x\r\nContent-Length: 30000\r\n\r\n"

    def send(link: socket.socket) -> None:
        with suppress(OSError), link:
            link.sendall(head)
            while not over.wait(0.2):
                link.sendall(b"x")
        links.remove(link)

    for _ in range(number):
        links.append(socket.create_connection(("127.0.0.1", port)))
        threading.Thread(target=send, args=(links[-1],)).start()
    try:
        yield lambda: len(links)
    finally:
        over.set()


def processor_time(pid: int | None) -> float | None:
    """Sum up the processor time of a process and all below it, in seconds; None where the system does not tell."""
    if pid is None or not Path("/proc/self/stat").exists():
        return None
    ticks = 0
    for process in _family(pid):
        with suppress(OSError):
            fields = Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _family(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in task.read_text("ascii").split():
                yield from _family(int(child))
