"""What is left of a file whose shape is wrong in places, so that one run still finds what else is wrong in it.

What the shape refuses is taken out, and what must not be missing is stood in for. Entries keep their numbers, so that
places stay right. The price: the result is good for being looked through only; nobody is ever judged by it.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from connector.rulebook.reading import Document, Path_
from connector.rulebook.shape import Model, path_in

_MOST_ROUNDS = 8  # each takes out or puts in one level; no file is deeper

StandIn = Callable[[Path_, str], Any]
"""Gives a value for a key that is missing at a path."""


def mended(model: type[Model], document: Document, stand_in: StandIn) -> Model | None:
    """Make a document fit this model; None when too little of it is left."""
    data = deepcopy(document.data)
    for _ in range(_MOST_ROUNDS):
        try:
            return model.model_validate(data)
        except ValidationError as error:
            if not isinstance(data, dict):
                return None
            _mend(data, error.errors(include_url=False), stand_in)
    return None


def _mend(data: dict[Any, Any], details: list[ErrorDetails], stand_in: StandIn) -> None:
    # All places first: taking something out changes what the others would be read as.
    places = [(path_in(data, detail["loc"]), detail) for detail in details]
    for path, detail in places:
        if detail["type"] == "missing" and (parent := _at(data, path)) is not None:
            parent[str(detail["loc"][-1])] = stand_in(path, str(detail["loc"][-1]))
    refused = {path: detail["type"] for path, detail in places if path and detail["type"] != "missing"}
    for path, kind in reversed(refused.items()):  # the last of a list first, so that the numbers before it stay
        parent = _at(data, path[:-1])
        if kind == "model_type" and isinstance(parent, list):
            parent[int(path[-1])] = {}  # the next round completes it
        elif parent is not None and path[-1] in (parent if isinstance(parent, dict) else range(len(parent))):
            del parent[path[-1]]


def _at(data: Any, path: Path_) -> Any:
    """Give what stands at a path; None when it is not there any more."""
    for step in path:
        if step not in (data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()):
            return None
        data = data[step]
    return data

