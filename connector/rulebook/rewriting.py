"""A case file with its expectations brought in line with what is decided: nothing else in its text changes.

The text is not written anew from data. Each value that differs is replaced where it stands, so that comments, order,
spaces and quotes stay as their author made them. The price: what stands for several cases at once by an alias is left
to the author. What comes out is read again, and refused when it is not what was meant.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from connector.errors import StagekeeperError
from connector.rulebook.cases import CaseResult, Seen
from connector.rulebook.reading import read_bytes
from connector.rulebook.splicing import Edit, in_block, in_flow, replaced, spelled, spliced

_BOM = "\ufeff"
_LISTS = ("tasks", "no_tasks", "actions")
_SHARED = "an alias shares it with other places; change it by hand"


class RewritingFailed(StagekeeperError):
    """The case file could not be rewritten without changing something else; it was left alone."""

    code = "rewriting-failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rewrite:
    """One expectation, as it was and as it is now; `left_alone` says why nothing was changed."""

    case: str
    path: str
    before: Any
    after: Any
    left_alone: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    """A value below `expect`: the keys that lead to it, and what it shall be."""

    keys: tuple[str, ...]
    value: Any


def rewritten(text: str, failed: Sequence[CaseResult]) -> tuple[str, list[Rewrite]]:
    """Give a case file's text with the expectations of these cases as decided, and what was changed.

    Raises RewritingFailed when the outcome would differ from the text in anything else.
    """
    mark, plain = (_BOM, text[1:]) if text.startswith(_BOM) else ("", text)
    file = _File(plain)
    made = [rewrite for result in failed for rewrite in file.rewrite(result)]
    new = spliced(plain, file.edits)
    if _unordered(_data(new)) != _unordered(file.meant):
        raise RewritingFailed
    return mark + new, made


class _File:
    """The nodes of one case file, and the edits that are gathered; one use per file."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.top = YAML(typ="rt", pure=True).compose(text)
        self.shared = _shared(self.top)
        self.meant = _data(text)
        self.edits: list[Edit] = []

    def rewrite(self, result: CaseResult) -> Iterator[Rewrite]:
        """Gather the edits for one case."""
        number = next(number for number, case in enumerate(self.meant["cases"]) if case["name"] == result.name)
        expect = self.meant["cases"][number]["expect"]
        for wanted in _wanted(result, expect):
            before = deepcopy(_at(expect, wanted.keys))
            reason = self._edit(("cases", number, "expect", *wanted.keys), wanted.value)
            if not reason:
                _at(expect, wanted.keys[:-1])[wanted.keys[-1]] = wanted.value
            yield Rewrite(
                case=result.name, path=".".join(wanted.keys), before=before, after=wanted.value, left_alone=reason
            )

    def _edit(self, path: Sequence[str | int], value: Any) -> str:
        """Gather the edits for one value; says why it cannot be done."""
        key, node, flow = None, self.top, False
        for step in path:
            flow = flow or bool(node.flow_style)
            key, node = _child(node, step)
            if id(node) in self.shared or node.anchor:
                return _SHARED
        if isinstance(node, SequenceNode) and isinstance(value, list):
            change = in_flow if node.flow_style else in_block
            self.edits += change(self.text, key, node, value)
            return ""
        self.edits.append(replaced(self.text, node, spelled(value, style=node.style, flow=flow)))
        return ""


def _wanted(result: CaseResult, expect: dict[str, Any]) -> Iterator[_Wanted]:
    """Give what the expectations that were not met shall be; each of them once."""
    seen = result.seen
    if seen is None:
        return
    for path in dict.fromkeys(difference.path for difference in result.differences):
        section, dot, name = path.partition(".")
        keys = (section, name) if dot else (section,)
        yield _Wanted(keys=keys, value=_decided(seen, keys, expect))


def _decided(seen: Seen, keys: tuple[str, ...], expect: dict[str, Any]) -> Any:
    match keys:
        case ("set", name):
            return seen.set.get(name)
        case ("facts", name):
            return seen.facts.get(name)
        case ("no_tasks",):
            return [name for name in expect["no_tasks"] if name not in seen.tasks]
        case ("tasks" | "actions" as section,):
            decided = list(getattr(seen, section))
            kept = [name for name in expect[section] if name in decided]
            return [*kept, *(name for name in decided if name not in kept)]
    return getattr(seen, keys[0])


def _at(data: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        data = data[key]
    return data


def _child(node: Node, step: str | int) -> tuple[Node | None, Node]:
    """Give the node below, with its key where it has one."""
    if isinstance(node, MappingNode):
        return next((key, value) for key, value in node.value if str(key.value) == step)
    return None, node.value[step]


def _shared(top: Node) -> frozenset[int]:
    """Find the nodes that stand in more than one place, by aliases."""
    met: set[int] = set()
    shared: set[int] = set()
    waiting = [top]
    while waiting:
        node = waiting.pop()
        if id(node) in met:
            shared.add(id(node))
            continue
        met.add(id(node))
        if isinstance(node, ScalarNode):
            continue
        for child in node.value:
            waiting += child if isinstance(child, tuple) else (child,)
    return frozenset(shared)


def _unordered(data: Any) -> Any:
    """Sort the lists of expectations, whose order means nothing."""
    for case in data["cases"]:
        expect = case["expect"]
        expect |= {key: sorted(expect[key]) for key in _LISTS if expect.get(key)}
    return data


def _data(text: str) -> Any:
    document, problems = read_bytes(text.encode(), file="cases")
    if document is None or problems:
        raise RewritingFailed
    return deepcopy(document.data)
