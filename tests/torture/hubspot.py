"""The practice HubSpot of the torture test with its postman, as a process of its own: the only one that never dies.

    python -m tests.torture.hubspot '{"webhook_url": …}'

It prints one line of JSON with its addresses and runs until SIGTERM.
"""

import dataclasses
import signal
import sys
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from connector.sandbox import Sandbox, SandboxOptions
from tests.torture.postman import Manners, Postman
from tests.torture.witness import attend

_ENDING = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, kw_only=True, slots=True)
class HubSpotSettings:
    """How the practice HubSpot behaves."""

    seed: int
    webhook_url: str
    receivers: list[tuple[str, int]]
    """Where the postman brings what is delivered: to any of them."""
    portal: int
    app_id: int
    access_token: str
    client_secret: str
    calls_per_10s: int
    time_zone: str = "UTC"
    double_rate: float = 0.1
    retry_delay_ms: int = 1_500
    batch_window_ms: int = 50
    manners: dict[str, float] = field(default_factory=dict)
    host: str = "127.0.0.1"
    witness: str = ""
    """A file in which is written down who wrote to which contacts; "" for none."""

    def as_json(self) -> str:
        """Spell them for the command line."""
        return orjson.dumps(dataclasses.asdict(self)).decode()


def main(text: str) -> None:
    """Run until told to stop."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)  # before any thread starts, so that `sigwait` alone gets them
    settings = HubSpotSettings(**orjson.loads(text))
    receivers = [(host, port) for host, port in settings.receivers]
    postman = Postman(receivers, "/webhooks/hubspot", Manners(**settings.manners), settings.seed)
    options = SandboxOptions(
        host=settings.host, port=0, seed=settings.seed, portal=settings.portal, app_id=settings.app_id,
        access_token=settings.access_token, client_secret=settings.client_secret, webhook_url=settings.webhook_url,
        deliver_to=f"http://127.0.0.1:{postman.port}", calls_per_10s=settings.calls_per_10s, shuffle=True,
        double_rate=settings.double_rate, retry_delay_ms=settings.retry_delay_ms,
        batch_window_ms=settings.batch_window_ms, searches_per_second=5, time_zone=settings.time_zone,
    )  # fmt: skip
    sandbox = Sandbox(options)
    sandbox.webhooks.events = deque()  # all of them, however many
    postman.start()
    with sandbox:
        if settings.witness:
            attend(sandbox, Path(settings.witness))
        line = {"hubspot": sandbox.address, "postman": f"http://127.0.0.1:{postman.port}"}
        print(orjson.dumps(line).decode(), flush=True)
        signal.sigwait(_ENDING)
    postman.stop()


if __name__ == "__main__":
    main(sys.argv[1])
