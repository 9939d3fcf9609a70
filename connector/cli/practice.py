"""A practice HubSpot made ready: with the properties that Stagekeeper needs, as `stagekeeper setup` makes them."""

from connector.hubspot.budget import CallBudget, Limits, MemoryBudgetStore
from connector.hubspot.client import HubSpotPortal
from connector.hubspot.setup import set_up
from connector.moments import system_clock
from connector.sandbox import Sandbox
from connector.sandbox.people import settle_people


def set_up_practice(sandbox: Sandbox) -> int:
    """Make the properties; gives how many were made."""
    options = sandbox.options
    budget = CallBudget(
        portal=options.portal, limits=Limits(calls_per_10s=1_000, calls_per_day=1_000_000, reserve=0.0),
        store=MemoryBudgetStore(), clock=system_clock,
    )  # fmt: skip
    hubspot = HubSpotPortal(
        portal=options.portal, access_token=options.access_token, api_url=sandbox.address, budget=budget,
        clock=system_clock,
    )  # fmt: skip
    return sum(step.outcome == "made" for step in set_up(hubspot))


def settle_practice(sandbox: Sandbox, people: int, seed: int) -> None:
    """Make the properties, and let people be there who have something filled in."""
    set_up_practice(sandbox)
    settle_people(sandbox.portal, people, seed)
