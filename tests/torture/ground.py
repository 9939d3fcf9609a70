"""The ground on which a run stands: a port, a receiver that answers, and a time zone whose day is about to end."""

import http.client
import struct
from pathlib import Path


def is_ready(port: int) -> bool:
    """Ask whether the receiver takes webhooks."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def write_zone(path: Path, *, midnight: float) -> None:
    """Write a time zone in which the day ends at that moment, so that a run sees HubSpot's day end.

    https://www.rfc-editor.org/rfc/rfc8536: version 1, no transitions, one type.
    """
    offset = -round(midnight) % 86_400
    offset -= 86_400 if offset > 43_200 else 0
    name = b"TRT\0"
    counts = struct.pack(">6l", 0, 0, 0, 0, 1, len(name))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"TZif" + bytes(16) + counts + struct.pack(">lBB", offset, 0, 0) + name)
