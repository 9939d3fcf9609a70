"""A real SQLite file with rows of every table, a configuration beside it, and the command as a process of its own."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa

from connector.store.engine import open_database, writing
from connector.store.tables import contacts, effects, events, metadata, records, waiting
from tests.databases import database_url
from tests.forking import run_forked

PORTAL = 4242
NOW = 1_790_000_000_000
RULES = Path(__file__).parents[2] / "rules"

_CONFIG = """version: 1
database: {database}
portals:
  - id: 4242
    access_token: pat-sandbox
    client_secret: sandbox-secret
    webhook_url: http://127.0.0.1:1/webhooks/hubspot
    api_url: {api_url}
    rules: {rules}
    limits: {{calls_per_10s: 1000, calls_per_day: 1000000, reserve: 0}}
"""


@dataclass(frozen=True)
class Stock:
    """A folder with a database and a configuration."""

    folder: Path
    engine: sa.Engine

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    def configure(self, api_url: str = "http://127.0.0.1:1", pack: str = "two-way") -> None:
        """Write the configuration; port 1 answers nobody."""
        database, rules = database_url(self.folder / "stock.db"), RULES / f"{pack}.yaml"
        text = _CONFIG.format(database=database, api_url=api_url, rules=rules)
        self.config.write_text(text, encoding="utf-8")

    def contact(self, contact: str, stage: str | None = "prospect", *, portal: int = PORTAL, **values: Any) -> None:
        """Put a contact row."""
        row = {
            "portal": portal, "contact": contact, "stage": stage, "since": NOW, "rule": "engaged", "because": "…",
            "marks": {}, "pack_hash": "h", "fingerprint": "f", "snapshot": {"properties": {}}, "unwritten": {},
            "decided_at": NOW,
        }  # fmt: skip
        self.put(contacts, row | values)

    def record(
        self, contact: str, stage: str | None, facts: Mapping[str, str] | None = None, *, portal: int = PORTAL,
        **values: Any,
    ) -> None:  # fmt: skip
        """Put the record of a decision."""
        row = {
            "portal": portal, "contact": contact, "claim": "c", "decided_at": NOW, "pack": "p", "pack_hash": "h",
            "stage": stage, "rule": "r", "fingerprint": "f", "read": {}, "decided": {"facts": dict(facts or {})},
            "planned": {},
        }  # fmt: skip
        self.put(records, row | values)

    def event(self, contact: str | None, key: str, *, portal: int = PORTAL, **values: Any) -> None:
        """Put an event."""
        row = {
            "portal": portal, "key": key, "type": "contact.propertyChange", "contact": contact, "received_at": NOW,
            "body": {"objectId": contact, "propertyName": "email", "propertyValue": "ana@example.com"},
        }  # fmt: skip
        self.put(events, row | values)

    def waiting(self, contact: str, *, portal: int = PORTAL, **values: Any) -> None:
        """Let a contact wait."""
        row = {"portal": portal, "contact": contact, "due": NOW, "since": NOW, "generation": 1, "attempts": 0}
        self.put(waiting, row | values)

    def effect(self, contact: str, key: str, *, portal: int = PORTAL, **values: Any) -> None:
        """Put an effect."""
        row = {
            "portal": portal, "contact": contact, "key": key, "kind": "task", "rule": "r", "state": "intended",
            "body": {"title": "Call Ana"}, "intended_at": NOW,
        }  # fmt: skip
        self.put(effects, row | values)

    def person(self, contact: str, *, portal: int = PORTAL) -> None:
        """Put one row into each table, two events among them."""
        self.event(contact, f"{contact}-1", portal=portal)
        self.event(contact, f"{contact}-2", portal=portal)
        self.waiting(contact, portal=portal)
        self.contact(contact, portal=portal, snapshot={"properties": {"email": "ana@example.com"}})
        self.record(contact, "prospect", portal=portal, read={"properties": {"email": "ana@example.com"}})
        self.effect(contact, f"{contact}-task", portal=portal)

    def put(self, table: sa.Table, row: Mapping[str, Any]) -> None:
        with writing(self.engine) as connection:
            connection.execute(sa.insert(table).values(row))

    def rows(self, *, without: tuple[str, ...] = ()) -> dict[str, list[Any]]:
        """Give all rows of all tables."""
        with self.engine.connect() as connection:
            return {
                table.name: [tuple(row) for row in connection.execute(sa.select(table))]
                for table in metadata.sorted_tables
                if table.name not in without
            }

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run the command in a process of its own, without a terminal."""
        command = ["--config", str(self.config), *arguments]
        ran = run_forked(command, folder=Path.cwd(), environment={**os.environ, "NO_COLOR": "1"})
        return subprocess.CompletedProcess(command, *ran)


def stock_in(folder: Path) -> Stock:
    """Make an empty stock with a configuration whose HubSpot answers nobody."""
    stock = Stock(folder, open_database(database_url(folder / "stock.db")))
    stock.configure()
    return stock


def read_json(done: subprocess.CompletedProcess[str]) -> Any:
    """Read what a command printed."""
    assert done.returncode == 0, done.stderr
    return orjson.loads(done.stdout)
