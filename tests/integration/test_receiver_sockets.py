"""Over real sockets, as gunicorn serves it: chunked bodies, lies about lengths, slow and vanishing senders."""

import contextlib
import gzip
import http.client
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.inbox import Inbox
from connector.moments import system_clock
from connector.receiver import LARGEST_BODY
from connector.store.engine import open_database
from tests.databases import database_url
from tests.receiver_server import chunked, head, serving, talk
from tests.receivers import change, packed, signed


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("receiver") / "stagekeeper.db"


@pytest.fixture(scope="module")
def port(database: Path) -> Iterator[int]:
    with serving(database, patience_s=2) as port:
        yield port


def test_requests_on_one_connection_are_taken_one_after_the_other(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    for contact in range(1, 4):
        body = packed(change(contact))
        connection.request("POST", "/webhooks/hubspot", body, signed(body))
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (204, b"")
    connection.close()


def test_a_chunked_body_is_taken(port: int, database: Path) -> None:
    body = packed(*(change(contact) for contact in range(1_000, 1_500)))
    answer = talk(port, head(signed(body), **{"Transfer-Encoding": "chunked"}), *chunked(body))
    assert answer.startswith(b"HTTP/1.1 204 ")
    engine = open_database(database_url(database), migrate=False)
    assert Inbox(engine, system_clock).show(4242, "1499").waiting is not None
    engine.dispose()


def test_an_endless_body_is_cut_off_with_413(port: int) -> None:
    body = b" " * (LARGEST_BODY + 100_000)
    answer = talk(port, head(signed(b"[]"), **{"Transfer-Encoding": "chunked"}), *chunked(body), until=b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ") or answer == b""  # the reset may overtake the answer


def test_a_body_that_says_it_is_too_long_is_answered_413_before_it_comes(port: int) -> None:
    answer = talk(port, head({}, **{"Content-Length": str(LARGEST_BODY + 1)}), until=b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_ten_megabytes_at_once_are_answered_413(port: int) -> None:
    body = b" " * 10_000_000
    assert talk(port, head({}, **{"Content-Length": str(len(body))}), body).startswith(b"HTTP/1.1 413 ")


def test_a_body_longer_than_it_says_is_not_the_one_that_was_signed(port: int) -> None:
    body = packed(change())
    answer = talk(port, head(signed(body), **{"Content-Length": str(len(body) - 1)}), body)
    assert answer.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("length", ["-1", "abc", "1, 2", "9" * 30])
def test_a_length_that_is_none_is_refused(port: int, length: str) -> None:
    answer = talk(port, head(signed(b"[]"), **{"Content-Length": length}), b"[]", until=b"\r\n\r\n")
    assert answer.split(b" ")[1] in {b"400", b"413"}


def test_senders_who_fall_silent_do_not_keep_others_waiting(port: int) -> None:
    with contextlib.ExitStack() as stack:
        for beginning in (b"POST /webh", head({}, **{"Content-Length": "100"}) + b"[", head({})[:-2]):
            link = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            link.sendall(beginning)
        body = packed(change())
        began = time.monotonic()
        answer = talk(port, head(signed(body), **{"Content-Length": str(len(body))}), body)
        assert answer.startswith(b"HTTP/1.1 204 ")
        assert time.monotonic() - began < 1.5


def test_a_sender_who_vanishes_in_the_middle_harms_nobody(port: int) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as link:
            link.sendall(head({}, **{"Content-Length": "100"}) + b"[")
    body = packed(change())
    assert talk(port, head(signed(body), **{"Content-Length": str(len(body))}), body).startswith(b"HTTP/1.1 204 ")


def test_headers_of_any_bytes_are_answered(port: int) -> None:
    odd = b"POST /webhooks/hubspot HTTP/1.1\r\nHost: x\r\nX-HubSpot-Signature-v3: \xff\xfe\xc3\r\n"
    rest = b"X-HubSpot-Request-Timestamp: 1\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]"
    assert talk(port, odd + rest).split(b" ")[1] in {b"400", b"401"}
    big = odd.replace(b"\xff\xfe\xc3", b"A" * 100_000)
    assert talk(port, big + rest, until=b"\r\n\r\n").split(b" ")[1:2] in [[b"400"], [b"431"], []]


def test_a_repeated_signature_is_refused(port: int) -> None:
    body = packed(change())
    twice = head(signed(body), **{"Content-Length": str(len(body))}).replace(
        b"\r\n\r\n", f"\r\nX-HubSpot-Signature-v3: {signed(body)['X-HubSpot-Signature-v3']}\r\n\r\n".encode()
    )
    assert talk(port, twice, body).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("body", [b"zz\r\n[]\r\n0\r\n\r\n", b"-1\r\n[]\r\n", b"5\r\n[]\r\n0\r\n\r\n"])
def test_chunks_that_lie_are_answered_400(port: int, body: bytes) -> None:
    answer = talk(port, head(signed(b"[]"), **{"Transfer-Encoding": "chunked"}), body, until=b"\r\n\r\n")
    assert answer.split(b" ")[1] in {b"400", b"408"}


def test_both_a_length_and_chunks_are_refused(port: int) -> None:
    both = {"Transfer-Encoding": "chunked", "Content-Length": "2"}
    assert talk(port, head(signed(b"[]"), **both), *chunked(b"[]"), until=b"\r\n\r\n").split(b" ")[1] == b"400"


def test_a_packed_body_is_judged_as_the_bytes_that_came(port: int) -> None:
    packed_body = gzip.compress(packed(change()))
    more = {"Content-Encoding": "gzip", "Content-Length": str(len(packed_body))}
    assert talk(port, head(signed(packed(change())), **more), packed_body).startswith(b"HTTP/1.1 401 ")
    assert talk(port, head(signed(packed_body), **more), packed_body).startswith(b"HTTP/1.1 400 ")


def test_a_header_with_underscores_is_no_other_spelling_of_a_signature(port: int) -> None:
    body = packed(change())
    odd = head(signed(body), **{"Content-Length": str(len(body))}).replace(b"X-HubSpot-", b"X_HubSpot_")
    assert talk(port, odd, body).split(b" ")[1] in {b"400", b"401"}


def test_a_header_of_another_request_cannot_be_smuggled_in(port: int) -> None:
    body = packed(change())
    for odd in (b"X-A: 1\nX-B: 2", b"X-A: 1\r X-B", b"X-A : 1", b" X-A: 1", b"X-A: \x00"):
        plain = head(signed(body), **{"Content-Length": str(len(body))})
        answer = talk(port, plain[:-2] + odd + b"\r\n\r\n", body, until=b"\r\n\r\n")
        assert answer.split(b" ")[1] in {b"400", b"204"}
        assert answer.count(b"HTTP/1.1") == 1
