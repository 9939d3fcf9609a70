"""What a portal answers, each question asked once; whoever asks again for what failed gets the same failure."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from connector.config import Config, Portal
from connector.errors import StagekeeperError
from connector.hubspot.batch import Record
from connector.hubspot.budget import CallBudget, MemoryBudgetStore
from connector.hubspot.client import HubSpotPortal
from connector.hubspot.failure import HubSpotError
from connector.moments import Clock
from connector.oauth.keyring import access_of
from connector.services import open_hubspot

T = TypeVar("T")


class Readings:
    """Reads one portal; writes nothing."""

    def __init__(self, hubspot: HubSpotPortal, budget: CallBudget) -> None:
        self.hubspot = hubspot
        self.budget = budget
        self._answers: dict[str, Any] = {}
        self._failures: dict[str, StagekeeperError] = {}

    @classmethod
    def of(
        cls, config: Config, portal: Portal, clock: Clock, sleep: Callable[[float], None] | None = None
    ) -> "Readings":
        """Build the client of a portal with a budget of its own, for the shared one may be out of reach."""
        access = access_of(config, portal, clock=clock, sleep=sleep)
        return cls(*open_hubspot(portal, store=MemoryBudgetStore(), clock=clock, sleep=sleep, access=access))

    def account(self) -> Record:
        """Tell whose portal the token opens."""
        return self._once("account", self.hubspot.account)

    def token(self) -> Record | None:
        """Tell what HubSpot knows of the token; None when it tells nothing of its kind."""
        return self._once("token", self._token)

    def definitions(self, kind: str) -> Mapping[str, Record]:
        """Give the properties of a kind of record."""
        return self._once(f"definitions of {kind}", lambda: self.hubspot.properties.definitions(kind))

    def pipelines(self) -> tuple[Record, ...]:
        """Give the pipelines of deals."""
        return self._once("pipelines", lambda: tuple(self.hubspot.deals.pipelines()))

    def owners(self) -> tuple[Record, ...]:
        """Give the owners."""
        return self._once("owners", self.hubspot.owners.all)

    def calculated(self) -> frozenset[str]:
        """Name the contact properties that HubSpot calculates, as far as they have been read."""
        definitions: Mapping[str, Record] = self._answers.get("definitions of contacts", {})
        return frozenset(name for name, one in definitions.items() if one.get("calculated"))

    def _token(self) -> Record | None:
        try:
            told = self.hubspot.token_info()
        except HubSpotError as failure:
            if failure.meaning.kind in ("gone", "invalid", "forbidden"):
                return None
            raise
        return told if isinstance(told.get("scopes"), list) else None

    def _once(self, name: str, ask: Callable[[], T]) -> T:
        if name in self._failures:
            raise self._failures[name]
        if name not in self._answers:
            try:
                self._answers[name] = ask()
            except StagekeeperError as failure:
                self._failures[name] = failure
                raise
        answer: T = self._answers[name]
        return answer
