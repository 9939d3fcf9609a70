"""The transport against real sockets: what slow, silent, broken and hasty servers do to a call."""

import contextlib
import socket
import threading
import time as wall
from collections.abc import Callable, Iterator

import pytest

from connector.hubspot.failure import HubSpotError
from connector.hubspot.retries import Patience
from connector.hubspot.transport import Transport
from connector.moments import system_clock
from tests.hubspot_portals import Time, a_budget

READ = "/crm/v3/objects/contacts/batch/read"
CREATE = "/crm/v3/objects/tasks/batch/create"
WELL = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{"results":[]}'
Behaviour = Callable[[socket.socket, int], bool]


class Server:
    """Reads requests on a loopback port; `behave` answers each, and says whether the connection goes on."""

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.connections = 0
        self.requests = 0
        self.stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while not self.stopped.is_set():
            connection, _ = self._listener.accept()
            if self.stopped.is_set():
                connection.close()
                return
            self.connections += 1
            connection.settimeout(0.05)
            with connection:
                while self._read_request(connection) and self.behave(connection, self.requests):
                    pass

    def _read_request(self, connection: socket.socket) -> bool:
        """Read one request; the client sends small ones, with their length."""
        raw = b""
        while b"\r\n\r\n" not in raw:
            part = self._receive(connection)
            if not part:
                return False
            raw += part
        head, _, body = raw.partition(b"\r\n\r\n")
        lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
        while len(body) < int(lengths[0] if lengths else 0):
            body += self._receive(connection)
        self.requests += 1
        return True

    def _receive(self, connection: socket.socket) -> bytes:
        """Wait for bytes; none when the client closed the connection, or when the test is over."""
        while not self.stopped.is_set():
            try:
                return connection.recv(65_536)
            except TimeoutError:
                continue
            except ConnectionError:
                return b""
        return b""

    def stop(self) -> None:
        self.stopped.set()
        socket.create_connection(self._listener.getsockname()).close()
        self._thread.join()
        self._listener.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Behaviour], Server]]:
    servers: list[Server] = []

    def start(behave: Behaviour) -> Server:
        servers.append(Server(behave))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def a_transport(url: str, time: Time, patience: Patience | None = None) -> Transport:
    patience = patience or Patience(connect_s=0.5, read_s=0.2)
    return Transport(
        portal=4242, access_token="t", api_url=url, budget=a_budget(time), clock=time, sleep=time.sleep,
        patience=patience,
    )  # fmt: skip


def failing(transport: Transport, path: str) -> str:
    with pytest.raises(HubSpotError) as caught:
        transport.send("POST", path, body={})
    transport.close()
    return caught.value.meaning.kind


def well(connection: socket.socket, _number: int) -> bool:
    connection.sendall(WELL)
    return True


def reset(connection: socket.socket, _number: int) -> bool:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    return False


def silent(connection: socket.socket, _number: int) -> bool:
    connection.settimeout(5)
    with contextlib.suppress(ConnectionError):
        connection.recv(1)  # until the client gives up
    return False


def cut(connection: socket.socket, _number: int) -> bool:
    connection.sendall(WELL[:-5])
    return False


def garbled(connection: socket.socket, _number: int) -> bool:
    connection.sendall(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
    return False


@pytest.mark.parametrize("behave", [reset, silent, cut, garbled])
def test_a_create_that_got_no_whole_answer_goes_out_once_and_is_unclear(
    serve: Callable[[Behaviour], Server], behave: Behaviour
) -> None:
    server = serve(behave)
    assert failing(a_transport(server.url, Time()), CREATE) == "unclear"
    assert server.requests == 1


@pytest.mark.parametrize("behave", [reset, silent, cut, garbled])
def test_a_read_that_got_no_whole_answer_goes_out_again(
    serve: Callable[[Behaviour], Server], behave: Behaviour
) -> None:
    server = serve(lambda connection, number: (behave if number == 1 else well)(connection, number))
    transport = a_transport(server.url, Time())
    assert transport.send("POST", READ, body={}).body == {"results": []}
    assert server.requests == 2
    transport.close()


def test_a_server_that_is_not_there_is_unreachable_and_nothing_happened() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    time = Time()
    assert failing(a_transport(f"http://127.0.0.1:{port}", time), CREATE) == "unreachable"
    assert len(time.slept) == 3


def test_a_name_that_nobody_knows_is_unreachable() -> None:
    assert failing(a_transport("http://nowhere.invalid", Time()), CREATE) == "unreachable"


def test_a_stalled_server_does_not_hold_a_worker(serve: Callable[[Behaviour], Server]) -> None:
    server = serve(silent)
    started = wall.monotonic()
    failing(a_transport(server.url, Time(), Patience(connect_s=0.5, read_s=0.2, tries=1)), READ)
    assert wall.monotonic() - started < 2


def test_a_server_that_drips_its_answer_does_not_hold_a_worker(serve: Callable[[Behaviour], Server]) -> None:
    def drip(connection: socket.socket, _number: int) -> bool:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.settimeout(0.02)
        for _ in range(250):
            try:
                connection.sendall(b"1\r\n \r\n")
                if not connection.recv(1):
                    return False
            except TimeoutError:
                continue
            except OSError:
                return False
        return False

    server = serve(drip)
    time = Time()
    patience = Patience(connect_s=0.5, read_s=0.5, answer_s=0.3, tries=1)
    transport = Transport(
        portal=1, access_token="t", api_url=server.url, budget=a_budget(time), clock=system_clock, sleep=time.sleep,
        patience=patience,
    )  # fmt: skip
    started = wall.monotonic()
    assert failing(transport, READ) == "unclear"
    assert wall.monotonic() - started < 3


def test_calls_share_a_connection(serve: Callable[[Behaviour], Server]) -> None:
    server = serve(well)
    transport = a_transport(server.url, Time())
    for _ in range(20):
        transport.send("POST", READ, body={})
    assert (server.requests, server.connections) == (20, 1)
    transport.close()


def test_an_environment_with_a_proxy_is_not_heeded(
    serve: Callable[[Behaviour], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    server = serve(well)
    transport = a_transport(server.url, Time())
    assert transport.send("POST", READ, body={}).status == 200
    transport.close()
