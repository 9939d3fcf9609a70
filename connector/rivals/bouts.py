"""How often of late a value was written, and which values are left alone because somebody sets them back each time.

A bout is one value of one property of one contact. It lies on the contact's own row, so it is read and written together
with everything else that is known of the contact and costs no query. The price is a few dozen bytes for each property
written within a day; the values themselves are not kept, digests of them are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from connector.moments import DAY, write_moment
from connector.plan import DECIDED_AT, STAGE, Plan, withhold

OF_LATE = DAY
"""What was written before that counts no longer."""
PAUSE = DAY
"""So long a value is left alone; then it is tried once more."""
MOST_WRITES = 3
"""After so many writes of one value within a day it is asked who sets it back."""
MOST_A_DAY = 20
"""So often one value is written within a day, whoever it is that sets it back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bout:
    """One value of one property: when it was written of late, and until when it is not to be written again."""

    property: str
    value: str
    """A digest."""
    written: tuple[int, ...] = ()
    held_until: int | None = None
    rival: str | None = None
    """Who sets it back each time."""

    def times(self, now: int) -> int:
        """Count how often it was written within the last day."""
        return sum(moment > now - OF_LATE for moment in self.written)

    def is_held(self, now: int) -> bool:
        """Ask whether it is to be left alone."""
        return self.held_until is not None and now < self.held_until


Bouts = tuple[Bout, ...]


def digest_of(value: str) -> str:
    """Give what a value is recognised by."""
    return blake2b(value.strip().encode(), digest_size=6).hexdigest()


def bout_of(bouts: Bouts, name: str, value: str) -> Bout:
    """Give the bout over this value, a new one where there is none."""
    digest = digest_of(value)
    known = (bout for bout in bouts if (bout.property, bout.value) == (name, digest))
    return next(known, Bout(property=name, value=digest))


def repeated(plan: Plan, bouts: Bouts, now: int) -> dict[str, int]:
    """Name the properties that are about to be given a value that they were given of late, with how often."""
    counts = {name: bout_of(bouts, name, value).times(now) for name, value in plan.writes.items() if name != DECIDED_AT}
    return {name: times for name, times in counts.items() if times}


def hold_back(plan: Plan, bouts: Bouts, now: int) -> Plan:
    """Take out of a plan the values that are to be left alone."""
    over = {name: bout_of(bouts, name, value) for name, value in plan.writes.items()} if bouts else {}
    held = {name: bout.held_until for name, bout in over.items() if bout.held_until is not None and bout.is_held(now)}
    if not held:
        return plan
    why = {
        name: f"{over[name].rival} sets {name} back each time it is written; it is left alone until "
        f"{write_moment(until)}"
        for name, until in held.items()
    }
    return withhold(plan, why, until=min(held.values()))


def with_hold(bouts: Bouts, name: str, value: str, *, rival: str, now: int) -> Bouts:
    """Leave a value alone from now on, for a time."""
    held = replace(bout_of(bouts, name, value), rival=rival, held_until=now + PAUSE)
    return _replacing(bouts, held)


def after_writing(bouts: Bouts, written: Mapping[str, str], *, held: str | None, now: int) -> Bouts:
    """Note what HubSpot has taken; with `held`, a stage among it has not been."""
    for name, value in written.items():
        if name == DECIDED_AT or (name == STAGE and held is not None):
            continue
        bout = bout_of(bouts, name, value)
        bouts = _replacing(bouts, replace(bout, written=(*bout.written, now)[-MOST_A_DAY:]))
    return bouts


def bouts_as_data(bouts: Bouts, now: int) -> dict[str, Any] | None:
    """Give as plain data what still counts; None when nothing does."""
    data: dict[str, Any] = {}
    for bout in bouts:
        if bout.times(now) or bout.is_held(now):
            hold = {"until": bout.held_until, "rival": bout.rival} if bout.is_held(now) else {}
            data.setdefault(bout.property, {})[bout.value] = {"at": list(bout.written), **hold}
    return data or None


def bouts_from_data(data: Mapping[str, Any] | None) -> Bouts:
    """Read bouts from plain data."""
    return tuple(
        Bout(
            property=name, value=value, written=tuple(each["at"]), held_until=each.get("until"),
            rival=each.get("rival"),
        )
        for name, values in (data or {}).items()
        for value, each in values.items()
    )  # fmt: skip


def _replacing(bouts: Bouts, changed: Bout) -> Bouts:
    key = changed.property, changed.value
    return (*(bout for bout in bouts if (bout.property, bout.value) != key), changed)
