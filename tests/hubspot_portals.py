"""A portal whose clock stands still but for its own sleeping, for tests of the HubSpot client."""

from collections.abc import Callable
from dataclasses import dataclass, field

from connector.hubspot.budget import CallBudget, Limits, MemoryBudgetStore
from connector.hubspot.client import HubSpotPortal
from connector.hubspot.transport import CallSeen

API = "https://api.hubapi.com"
START = 1_790_000_000_000
WIDE = Limits(calls_per_10s=100_000, calls_per_day=10_000_000, reserve=0.0, searches_per_second=100_000)


@dataclass
class Time:
    """A clock that only sleeping moves."""

    now: int = START
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += round(seconds * 1_000)


def a_budget(time: Time, limits: Limits = WIDE) -> CallBudget:
    return CallBudget(portal=4242, limits=limits, store=MemoryBudgetStore(), clock=time, sleep=time.sleep)


def a_portal(
    time: Time | None = None,
    *,
    api_url: str = API,
    access_token: str | Callable[[], str] = "pat-test",  # noqa: S107  # opens nothing
    seen: list[CallSeen] | None = None,
    api_version: str = "v3",
    limits: Limits = WIDE,
    timeout_s: tuple[float, float] = (3.05, 10.0),
) -> HubSpotPortal:
    time = time or Time()
    return HubSpotPortal(
        portal=4242,
        access_token=access_token,
        api_url=api_url,
        budget=a_budget(time, limits),
        clock=time,
        sleep=time.sleep,
        api_version=api_version,
        timeout_s=timeout_s,
        on_call=seen.append if seen is not None else None,
    )
