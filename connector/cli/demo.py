"""`stagekeeper demo`: the main job for real, on a practice HubSpot, in a minute."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from connector.cli.demo_view import Seen, View, row_of, summary
from connector.cli.options import common, tell
from connector.cli.practice import set_up_practice
from connector.errors import StagekeeperError
from connector.moments import system_clock
from connector.rulebook.shipped import shipped_packs
from connector.sandbox import Sandbox, SandboxOptions
from connector.sandbox.people import move_in, story
from connector.telemetry import configure_logging
from connector.tree import part_command

_PEOPLE = 20
_READY_S = 30.0
_STEP_S = 0.8
_QUIET_S = 10.0

_CONFIG = """version: 1
database: sqlite:///demo.db
server: {{bind: "127.0.0.1:{port}"}}
worker: {{settle: 500ms, reconcile_every: never}}
log: {{format: json, level: info}}
portals:
  - id: 4242
    name: Practice
    access_token: pat-sandbox
    client_secret: sandbox-secret
    app_id: 7001
    webhook_url: http://127.0.0.1:{port}/webhooks/hubspot
    api_url: {hubspot}
    rules: {rules}
    limits: {{calls_per_10s: 190}}
"""


class DemoFailed(StagekeeperError):
    """The demo did not do its job."""

    code = "demo-failed"


@click.command("demo")
@click.option("--seconds", type=click.IntRange(5), default=60, show_default=True, help="How long it runs.")
@click.option("--forever", is_flag=True, help="Run until Ctrl-C.")
@click.option("--pack", default="default", show_default=True, metavar="NAME", help="The shipped pack to run.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8080, show_default=True, help="0 takes a free one.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed tells the same story.")
@common
def command(seconds: int, forever: bool, pack: str, port: int, seed: int) -> None:
    """Watch contacts of a practice HubSpot move through their stages by YAML rules, each with its reason.

    Everything is real but HubSpot: signed webhooks reach the receiver, the worker judges, properties and tasks are
    written back. Nothing outside this machine is touched, and nothing is left behind.
    """
    packs = shipped_packs()
    if pack not in packs:
        raise click.UsageError(f"there is no pack {pack!r}; there is: {', '.join(packs)}")
    configure_logging("console", "error")
    port = _free_port(port)
    options = SandboxOptions(
        port=0, seed=seed, webhook_url=f"http://127.0.0.1:{port}/webhooks/hubspot", shuffle=True, double_rate=0.05
    )
    with tempfile.TemporaryDirectory(prefix="stagekeeper-demo-") as folder, Sandbox(options) as sandbox:
        config = Path(folder, "config.yaml")
        config.write_text(_CONFIG.format(port=port, hubspot=sandbox.address, rules=packs[pack]), encoding="utf-8")
        made = set_up_practice(sandbox)
        with _serving(config, port):
            tell(f"practice HubSpot {sandbox.address} · {made} properties made · pack {pack}")
            tell(f"web page http://127.0.0.1:{port}/")
            _play(sandbox, seed, None if forever else seconds)


def _free_port(wanted: int) -> int:
    """Give the wanted port, or another one where it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise DemoFailed("no port is free on this machine; end what listens there, or name one with --port")


@contextlib.contextmanager
def _serving(config: Path, port: int) -> Iterator[None]:
    """Run `stagekeeper serve` beside us; its log goes into the folder of the configuration."""
    log = config.with_name("serve.log")
    with log.open("wb") as stream:
        process = subprocess.Popen(
            part_command(config, "serve"), stdout=stream, stderr=stream, env={**os.environ}, start_new_session=True
        )
    try:
        _wait_until_ready(process, port, log)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and process.poll() is None:
        if _is_ready(port):
            return
        time.sleep(0.1)
    raise DemoFailed(f"the server did not start; its log ends with:\n{log.read_text(errors='replace')[-2_000:]}")


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:  # nosec B310 - http
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _play(sandbox: Sandbox, seed: int, seconds: int | None) -> None:
    """Let things happen to the invented people, and show what Stagekeeper makes of it."""
    people = move_in(sandbox.portal, _PEOPLE, seed)
    steps = story(people, seed=seed, clock=system_clock)
    view = View(sys.stdout)
    moves: Counter[tuple[str, str]] = Counter()
    seen: dict[str, Seen] = {}
    deadline = None if seconds is None else time.monotonic() + seconds
    with contextlib.suppress(KeyboardInterrupt), view:
        while deadline is None or time.monotonic() < deadline:
            step = next(steps)
            sandbox.update_contact(step.contact, step.properties)
            time.sleep(_STEP_S)
            _look(sandbox, people, seen, moves, view)
        sandbox.webhooks.wait_until_quiet(_QUIET_S)
        time.sleep(2 * _STEP_S)
        _look(sandbox, people, seen, moves, view)
    decided = [one for one in seen.values() if one.rule]
    click.echo(summary(sandbox, seen, moves))
    if not decided:
        raise DemoFailed("no contact was decided about; run `stagekeeper demo` again and look at /readyz")


def _look(
    sandbox: Sandbox, people: Sequence[str], seen: dict[str, Seen], moves: Counter[tuple[str, str]], view: View
) -> None:
    for contact in people:
        now = row_of(contact, sandbox.contact(contact), len(sandbox.tasks_of(contact)))
        before = seen.get(contact)
        if before is not None and before.stage != now.stage:
            moves[before.stage, now.stage] += 1
        if before != now:
            view.changed(before, now)
        seen[contact] = now
    view.refresh(list(seen.values()))
