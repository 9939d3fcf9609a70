"""Whether a call that failed goes out again within seconds, and after which wait: decisions as values.

https://developers.hubspot.com/docs/api-reference/error-handling
"""

from collections.abc import Mapping
from dataclasses import dataclass

from connector.hubspot.meaning import Meaning

_STEP_S: Mapping[str, float] = {"locked": 2.0, "unreachable": 0.5, "unavailable": 0.3, "unclear": 0.3}
_LIMITED_STEP_S: Mapping[str, float] = {"secondly": 1.0, "ten_secondly": 10.0}
_DOUBLING = frozenset({"unavailable", "unclear", "unreachable"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long a call may take, and how often it may be tried."""

    connect_s: float = 3.05
    read_s: float = 10.0
    answer_s: float = 60.0
    """A whole answer must be here by then, however slowly it drips."""
    tries: int = 4
    total_s: float = 20.0


def is_worth_another_try(meaning: Meaning, *, repeatable: bool) -> bool:
    """Ask whether the same call should go out again within seconds.

    One that is not repeatable does so only when HubSpot has provably not done it.
    """
    if meaning.policy == "daily" or meaning.kind == "migrating" or not meaning.retryable:
        return False
    return repeatable or not meaning.may_have_happened


def step_s(meaning: Meaning) -> float:
    """Give the unit of the waits for this meaning, in seconds."""
    return _LIMITED_STEP_S.get(meaning.policy) or _STEP_S.get(meaning.kind, 1.0)


def wait_s(meaning: Meaning, attempt: int) -> float:
    """Give the seconds to wait after the given attempt: as HubSpot asks, else longer from try to try."""
    factor = 2 ** (attempt - 1) if meaning.kind in _DOUBLING else attempt
    return max(step_s(meaning) * factor, (meaning.retry_after_ms or 0) / 1_000)
