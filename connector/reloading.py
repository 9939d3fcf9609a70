"""Taking the rules anew while everything runs: checked first, and taken whole or not at all.

What is in hand goes on under the rules by which it was taken; the next claim and the next page go by the new ones.
Broken ones change nothing: the log says what is wrong with them and where, and they are counted.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import structlog

from connector.config import Config
from connector.errors import FilesInvalid
from connector.packs import checked_packs
from connector.rulebook.pack import Pack
from connector.services import Services, with_rules
from connector.summons import Summons
from connector.telemetry import Metrics

_LOOK_S = 0.5
_MOST_PROBLEMS = 20
_Taken = TypeVar("_Taken")
_log = structlog.get_logger()


def renewed(services: Services) -> Services:
    """Give the services under the rules as they stand in their files now, the same ones when those are broken."""
    taken = _taken(lambda: with_rules(services), part="worker", metrics=services.metrics)
    if taken is None:
        return services
    _tell({id_: one.pack for id_, one in taken.portals.items()}, part="worker")
    return taken


class LivePacks(Mapping[int, Pack]):
    """The packs that the pages speak of: those that the process has taken last."""

    def __init__(self, config: Config, metrics: Metrics) -> None:
        self._config = config
        self._metrics = metrics
        self._packs = checked_packs(config)

    def __getitem__(self, portal: int) -> Pack:
        return self._packs[portal]

    def __iter__(self) -> Iterator[int]:
        return iter(self._packs)

    def __len__(self) -> int:
        return len(self._packs)

    def follow(self, summons: Summons) -> None:
        """Take the packs anew whenever a summons comes, in a thread that ends with the process."""
        threading.Thread(target=self._follow, args=(summons, threading.Event()), name="rules", daemon=True).start()

    def renew(self) -> None:
        """Take the packs as they stand in their files now, unless they are broken."""
        packs = _taken(lambda: checked_packs(self._config), part="page", metrics=self._metrics)
        if packs is not None:
            self._packs = packs
            _tell(packs, part="page")

    def _follow(self, summons: Summons, never: threading.Event) -> None:
        while not never.wait(_LOOK_S):
            if summons.came():
                self.renew()


def _taken(take: Callable[[], _Taken], *, part: str, metrics: Metrics) -> _Taken | None:
    """Take something of the rules; None when they are broken, which is told and counted."""
    try:
        taken = take()
    except FilesInvalid as error:
        problems = [str(problem) for problem in error.problems[:_MOST_PROBLEMS]]
        _log.error(
            "rules.reload_refused", part=part, problems=problems, found=len(error.problems),
            cure="mend them (`stagekeeper check` tells of all), then reload again; until then the old ones go on",
        )  # fmt: skip
        metrics.rules_reloads.labels("refused").inc()
        return None
    metrics.rules_reloads.labels("taken").inc()
    return taken


def _tell(packs: Mapping[int, Pack], *, part: str) -> None:
    _log.info("rules.reloaded", part=part, packs={id_: f"{pack.name}@{pack.hash[:12]}" for id_, pack in packs.items()})
