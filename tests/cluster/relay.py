"""A relay for TCP that can fall silent: what comes is kept, nobody is told, and it goes on where it stopped."""

import contextlib
import socket
import threading

_PIECE = 65_536


class Relay:
    """Passes connections on to one address."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._speaking = threading.Event()
        self._speaking.set()
        self._server = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._server.getsockname()[1]

    def __enter__(self) -> "Relay":
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._speaking.set()
        self._server.close()

    def fall_silent(self) -> None:
        """Pass nothing on, and take no one."""
        self._speaking.clear()

    def speak(self) -> None:
        """Go on."""
        self._speaking.set()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # it is closed at the end
            while True:
                near, _ = self._server.accept()
                threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        self._speaking.wait()
        try:
            far = socket.create_connection(self._target)
        except OSError:
            near.close()
            return
        for one, other in ((near, far), (far, near)):
            threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE):
                self._speaking.wait()
                sink.sendall(piece)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
