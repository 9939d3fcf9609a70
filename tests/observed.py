"""Receivers and a worker as processes of their own on one database, and what they tell: metrics and log as data."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from connector.moments import system_clock
from connector.sandbox import Sandbox, SandboxOptions
from connector.sandbox.signing import signed_headers
from connector.store.engine import open_database, reading
from tests.ports import free_port
from tests.practice import WEBHOOK_URL, prepare
from tests.running import Ran, Reply, answers, get, kill, running, stagekeeper, wait_until

PORTAL = 4242
_CONFIG = """version: 1
database: sqlite:///{database}
server: {{bind: "127.0.0.1:{port}"}}
worker: {{settle: 100ms, lease: 5s, reconcile_every: never{worker}}}
log: {{format: json, level: {level}}}
portals:
  - id: 4242
    access_token: pat-sandbox
    client_secret: sandbox-secret
    app_id: 7001
    webhook_url: {url}
    api_url: {hubspot}
    rules: {rules}
    limits: {{calls_per_10s: 1000, calls_per_day: 250000, reserve: 0}}
"""
Samples = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]


@dataclass
class Observed:
    """Processes beside a practice HubSpot whose events the test itself delivers."""

    folder: Path
    sandbox: Sandbox
    ports: Sequence[int]
    env: Mapping[str, str]
    stack: ExitStack
    delivered: int = 0
    workers: list[Any] = field(default_factory=list)

    def start_worker(self, **env: str) -> None:
        """Start another worker."""
        arguments = ("--config", "0.yaml", "worker")
        process = running(*arguments, folder=self.folder, log=self.folder / "log", env={**self.env, **env})
        self.workers.append(self.stack.enter_context(process))

    def kill_worker(self) -> None:
        """End the latest worker as a power cut does."""
        kill(self.workers.pop())

    def fresh(self) -> list[dict[str, Any]]:
        """Give the events that the practice HubSpot has made since the last time."""
        log = list(self.sandbox.webhooks.events)
        fresh, self.delivered = log[self.delivered :], len(log)
        return [dict(event) for event in fresh]

    def post(self, events: Sequence[Mapping[str, Any]], *, to: int = 0, signed: bool = True) -> Reply:
        """Deliver events to one of the receivers, signed as HubSpot signs them."""
        body = orjson.dumps(events)
        headers = signed_headers("sandbox-secret" if signed else "guess", WEBHOOK_URL, body, system_clock())
        return get(self.address(to) + "/webhooks/hubspot", method="POST", body=body, headers=headers)

    def address(self, number: int = 0) -> str:
        return f"http://127.0.0.1:{self.ports[number]}"

    def samples(self, number: int = 0) -> Samples:
        """Give what the /metrics of a receiver say."""
        return samples_of(get(self.address(number) + "/metrics").body)

    def run(self, *arguments: object) -> Ran:
        return stagekeeper("--config", "0.yaml", *arguments, folder=self.folder)

    def log(self) -> list[dict[str, Any]]:
        """Give the lines of all processes."""
        lines = (self.folder / "log").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def rows(self, query: sa.Select[Any]) -> list[Any]:
        """What the database holds."""
        engine = open_database(f"sqlite:///{self.folder / 'observed.db'}")
        try:
            with reading(engine) as connection:
                return list(connection.execute(query).all())
        finally:
            engine.dispose()


def samples_of(text: str) -> Samples:
    """Read Prometheus text."""
    return {
        (sample.name.removeprefix("stagekeeper_"), tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def named(samples: Samples, name: str) -> dict[tuple[str, ...], float]:
    """Give the samples of one name by the values of their labels, in the order of the labels' names."""
    return {tuple(value for _, value in labels): number for (one, labels), number in samples.items() if one == name}


@contextmanager
def observed(
    folder: Path, *, receivers: int = 2, level: str = "info", worker: str = "", env: Mapping[str, str] | None = None
) -> Iterator[Observed]:
    """Run receivers that share the folder of their metrics, with a worker."""
    metrics = folder / "metrics"
    metrics.mkdir()
    rules = Path(__file__).parents[1] / "rules" / "default.yaml"
    ports = [free_port() for _ in range(receivers)]
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox(SandboxOptions(port=0)))
        prepare(sandbox)
        for number, port in enumerate(ports):
            text = _CONFIG.format(
                database=folder / "observed.db", port=port, level=level, url=WEBHOOK_URL, hubspot=sandbox.address,
                rules=rules, worker=worker,
            )  # fmt: skip
            (folder / f"{number}.yaml").write_text(text, encoding="utf-8")
        one = Observed(folder, sandbox, ports, {"PROMETHEUS_MULTIPROC_DIR": str(metrics), **(env or {})}, stack)
        one.start_worker()
        wait_until((folder / "observed.db").exists, what="the database")
        wait_until(lambda: "worker.started" in (folder / "log").read_text(), what="the worker")
        for number in range(receivers):
            arguments = ("--config", f"{number}.yaml", "serve", "--only", "receiver")
            stack.enter_context(running(*arguments, folder=folder, log=folder / "log", env=one.env))
        for number in range(receivers):
            wait_until(lambda: answers(one.address(number) + "/readyz"), what="being ready")  # noqa: B023 - waited for
        yield one
