"""Recognises that HubSpot knows of a later decision than we do: an older backup was restored, or all of it was lost.

What was done for the contact since then is not among our effects, so it is looked for by its marker, whose last part is
the moment at which it was decided, and taken for what would now be done again.
"""

from collections.abc import Mapping, Sequence

from connector.moments import SECOND, read_moment
from connector.plan import DECIDED_AT
from connector.record import Judged


def is_rewound(one: Judged) -> bool:
    """Ask whether HubSpot shows a decision about the contact that we do not remember."""
    shown = read_moment(one.snapshot.properties.get(DECIDED_AT) or "")
    known = one.held.decided_at
    # HubSpot may keep whole seconds only.
    return shown is not None and (known is None or shown[0] >= known + SECOND)


def adopted(keys: Sequence[str], there: Mapping[str, str], *, since: int | None) -> dict[str, str]:
    """Match effects that are about to be done with what was done for the same rule after a moment; each once.

    `there` gives the ids of what HubSpot holds, by marker.
    """
    left = {marker: id_ for marker, id_ in there.items() if since is None or _moment(marker) > since}
    found = {}
    for key in keys:
        marker = next((each for each in left if _place(each) == _place(key)), None)
        if marker is not None:
            found[key] = left.pop(marker)
    return found


def _place(marker: str) -> str:
    return marker.rpartition(":")[0]


def _moment(marker: str) -> int:
    last = marker.rpartition(":")[2]
    return int(last) if last.isascii() and last.isdigit() else 0
