"""Recognises that HubSpot knows of a later decision than we do: an older backup was restored, or all of it was lost.

What was done for the contact since then is not among our effects, so it is looked for by its marker, whose last part is
the moment at which it was decided, and taken for what would now be done again.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from connector.moments import SECOND, read_moment
from connector.plan import DECIDED_AT, Effect
from connector.record import Judged

_SOUGHT_SINCE = "sought_since"
"""In an effect's body: the moment (ms) after which it may have been done, unknown to us."""


def seeking(one: Judged) -> Judged:
    """Have what is about to be done sought first, where HubSpot shows a decision that we do not remember.

    That stands with each effect until it is done: once this decision is written down, nothing else tells it any more,
    and whoever comes after a lost answer or a worker's death would do it again.
    """
    if not one.plan.effects or not _is_rewound(one):
        return one
    since = {_SOUGHT_SINCE: one.held.decided_at or 0}
    sought = tuple(replace(effect, body={**effect.body, **since}) for effect in one.plan.effects)
    return replace(one, plan=replace(one.plan, effects=sought))


def is_sought(effect: Effect) -> bool:
    """Ask whether an effect may have been done, unknown to us."""
    return _SOUGHT_SINCE in effect.body


def adopted(effects: Sequence[Effect], there: Mapping[str, str], *, ids: Collection[str]) -> dict[str, str]:
    """Match effects that are sought with what was done for the same rule since; each once.

    `there` gives the ids of what HubSpot holds, by marker; `ids` are the contact's and those merged into it.
    """
    left, found = dict(there), dict[str, str]()
    for effect in filter(is_sought, effects):
        portal, contact, _ = effect.key.split(":", 2)
        places = {f"{portal}:{one}:{effect.rule}" for one in {contact, *ids}}
        marker = next((each for each in left if _is_of(each, places, since=effect.body[_SOUGHT_SINCE])), None)
        if marker is not None:
            found[effect.key] = left.pop(marker)
    return found


def _is_of(marker: str, places: Collection[str], *, since: int) -> bool:
    place, _, moment = marker.rpartition(":")
    return place in places and moment.isascii() and moment.isdigit() and int(moment) > since


def _is_rewound(one: Judged) -> bool:
    """Ask whether HubSpot shows a decision about the contact that we do not remember."""
    shown = read_moment(one.snapshot.properties.get(DECIDED_AT) or "")
    known = one.held.decided_at
    # HubSpot may keep whole seconds only.
    return shown is not None and (known is None or shown[0] >= known + SECOND)
