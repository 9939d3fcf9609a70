"""HubSpot as the pages ask it: seldom, out of the portal's call budget, and without keeping anybody waiting.

A page's own question is given up when the budget would have it wait for more than three seconds: the thread is needed
for webhooks.
"""

import threading
import time
from collections.abc import Mapping

import sqlalchemy as sa

from connector.config import Config, Portal
from connector.errors import StagekeeperError
from connector.hubspot.budget import BudgetState
from connector.hubspot.client import HubSpotPortal
from connector.moments import Clock
from connector.oauth.keyring import access_of
from connector.services import open_hubspot
from connector.store.budgets import DatabaseBudgets
from connector.telemetry import Metrics

_LONGEST_WAIT_S = 3.0


class CallsBusy(StagekeeperError):
    """HubSpot's calls are used up at the moment."""

    code = "calls-busy"


class Asking:
    """Opens the client of a portal when it is first needed; thread-safe."""

    def __init__(self, config: Config, engine: sa.Engine, clock: Clock, metrics: Metrics | None = None) -> None:
        self._config = config
        self._portals: Mapping[int, Portal] = {portal.id: portal for portal in config.portals}
        self._engine = engine
        self._budgets: DatabaseBudgets[BudgetState] | None = None
        self._clock = clock
        self._metrics = metrics
        self._open: dict[tuple[int, bool], HubSpotPortal] = {}
        self._lock = threading.Lock()

    def quick(self, portal: int) -> HubSpotPortal:
        """Give a client that answers soon or raises StagekeeperError."""
        return self._client(portal, is_quick=True)

    def patient(self, portal: int) -> HubSpotPortal:
        """Give a client that waits for its turn."""
        return self._client(portal, is_quick=False)

    def _client(self, portal: int, *, is_quick: bool) -> HubSpotPortal:
        with self._lock:
            if self._budgets is None:
                self._budgets = DatabaseBudgets(self._engine, to_row=BudgetState.as_row, from_row=BudgetState.of_row)
            if (portal, is_quick) not in self._open:
                self._open[portal, is_quick], _ = open_hubspot(
                    self._portals[portal], store=self._budgets, clock=self._clock, metrics=self._metrics,
                    sleep=_wait_a_little if is_quick else None,
                    access=access_of(
                        self._config, self._portals[portal], clock=self._clock, engine=self._engine,
                        sleep=_wait_a_little if is_quick else None,
                    ),
                )  # fmt: skip
            return self._open[portal, is_quick]


def _wait_a_little(seconds: float) -> None:
    if seconds > _LONGEST_WAIT_S:
        wait = f"{seconds:.0f} seconds"
        raise CallsBusy(f"HubSpot takes no call now; expected one at once; try again in about {wait}")
    time.sleep(max(seconds, 0.0))
