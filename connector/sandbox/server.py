"""The socket side of the practice HubSpot: HTTP/1.1 with keep-alive, a thread a connection, little per request.

Python's own request parser costs more than most answers, so the few headers that matter are read here directly.
"""

import socket
import socketserver
import struct
import threading
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from typing import Any

from connector.sandbox.front import Front, Reply

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_LONGEST_LINE = 65_536
_MOST_HEADERS = 100
_JOIN_S = 5.0


class SandboxServer(ThreadingHTTPServer):
    """Listens, and remembers its connections so that it can end them."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], front: Front) -> None:
        self.front = front
        self.stopping = threading.Event()
        self.connections: dict[socket.socket, threading.Thread] = {}
        super().__init__(address, Connection)

    def server_bind(self) -> None:
        """Bind without asking the name service who we are."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[0], self.server_address[1]  # type: ignore[assignment]

    def shutdown_request(self, request: Any) -> None:
        """Close at once: a connection that is to be cut must not say goodbye."""
        self.close_request(request)

    def end_connections(self) -> None:
        """End every open connection and wait for its thread."""
        self.stopping.set()
        for connection, thread in list(self.connections.items()):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
            finally:
                thread.join(_JOIN_S)


class Connection(socketserver.StreamRequestHandler):
    """One connection, request after request."""

    server: SandboxServer
    connection: socket.socket
    wbufsize = -1
    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Answer requests until the other side or the server has had enough."""
        self.server.connections[self.connection] = threading.current_thread()
        try:
            while not self.server.stopping.is_set() and self._answer_one():
                pass
        except ConnectionError:
            return
        finally:
            self.server.connections.pop(self.connection, None)

    def _answer_one(self) -> bool:
        words = self.rfile.readline(_LONGEST_LINE).decode("latin-1").split()
        if len(words) != 3:
            return False
        method, target, version = words
        headers = self._headers()
        length = headers.get("content-length", "0")
        if not length.isdigit():
            return False
        if headers.get("expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.wfile.flush()
        body = self.rfile.read(int(length))
        reply = self.server.front.respond(method, target, headers, body)
        if reply.wait_s:
            self.server.stopping.wait(reply.wait_s)
        if reply.cut:
            self._cut()
            return False
        keep = version != "HTTP/1.0" and headers.get("connection", "").lower() != "close"
        self._write(reply, keep=keep)
        return keep

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for _ in range(_MOST_HEADERS):
            line = self.rfile.readline(_LONGEST_LINE)
            if line in (b"\r\n", b"\n", b""):
                break
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        return headers

    def _write(self, reply: Reply, *, keep: bool) -> None:
        lines = [f"HTTP/1.1 {reply.status} {_PHRASES.get(reply.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        if reply.status != 204:
            lines.append(f"Content-Length: {len(reply.body)}")
        if not keep:
            lines.append("Connection: close")
        self.wfile.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + reply.body)
        self.wfile.flush()

    def _cut(self) -> None:
        """Make the close that follows a reset, as when a machine in between gives up."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
