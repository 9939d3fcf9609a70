"""Changes to YAML as text: values are replaced where they stand, lists lose and gain members in their own manner."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ruamel.yaml.nodes import Node

from connector.rulebook.reading import read_bytes


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Edit:
    """What stands from `start` to `end` of a text becomes `text`."""

    start: int
    end: int
    text: str


def spliced(text: str, edits: Iterable[Edit]) -> str:
    """Carry out edits, which do not overlap."""
    for edit in sorted(edits, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def spelled(value: Any, *, style: str | None = None, flow: bool = False) -> str:
    """Write a value as YAML in the quotes that stood there before; plain only when it is read as the same text."""
    if value is None:
        return "null"
    text = str(value)
    if style == "'" and text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    if style != '"' and _is_plain(text, flow=flow):
        return text
    return json.dumps(text, ensure_ascii=False)


def _is_plain(text: str, *, flow: bool) -> bool:
    if not text or not text.isprintable():
        return False
    whole = f"{{key: {text}}}" if flow else f"key: {text}"
    document, problems = read_bytes(whole.encode(), file="value")
    return document is not None and not problems and document.data == {"key": text}


def replaced(text: str, node: Node, value: str) -> Edit:
    """Replace a scalar; one that is not written at all (`status:`) is written behind its colon."""
    start, end = node.start_mark.index, node.end_mark.index
    if start == end:
        before = text[:start].rstrip(" ")
        return Edit(start=len(before), end=len(before), text=f" {value}" if before.endswith(":") else f": {value}")
    ending = text[start:end]
    return Edit(start=start, end=end - (len(ending) - len(ending.rstrip("\r\n"))), text=value)


def in_flow(text: str, _: Node | None, node: Node, wanted: Sequence[str]) -> list[Edit]:
    """Rewrite a list in brackets: members that stay keep their text and what stands before them."""
    start, end = node.start_mark.index, node.end_mark.index
    added = [spelled(name, flow=True) for name in wanted if name not in {str(item.value) for item in node.value}]
    if not wanted or not node.value:
        return [Edit(start=start, end=end, text=f"[{', '.join(added)}]")]
    out, position = "", start + 1
    first = text[position : node.value[0].start_mark.index]
    for item in node.value:
        if str(item.value) in wanted:
            out += (text[position : item.start_mark.index] if out else first) + _source(text, item)
        position = item.end_mark.index
    out = ", ".join([out, *added]) if out else first + ", ".join(added)
    return [Edit(start=start, end=end, text=f"[{out}{text[position : end - 1]}]")]


def _source(text: str, node: Node) -> str:
    return text[node.start_mark.index : node.end_mark.index]


def in_block(text: str, key: Node | None, node: Node, wanted: Sequence[str]) -> list[Edit]:
    """Rewrite a list of lines: a new member takes the line of one that goes; the rest are taken out, or put below."""
    there = [str(item.value) for item in node.value]
    going = [item for item in node.value if str(item.value) not in wanted]
    coming = [name for name in wanted if name not in there]
    both = min(len(going), len(coming))
    edits = [replaced(text, item, spelled(name, style=item.style))
             for item, name in zip(going, coming, strict=False)]  # fmt: skip
    edits += [_without(text, item) for item in going[both:]]
    if coming[both:]:
        edits.append(_below(text, node.value[-1], coming[both:]))
    if not wanted and key is not None:
        colon = text.index(":", key.end_mark.index) + 1
        edits.append(Edit(start=colon, end=colon, text=" []"))
    return edits


def _line(text: str, item: Node) -> tuple[int, int]:
    """Give where the line of a member begins and where it ends, its line break left out."""
    start = text.rfind("\n", 0, item.start_mark.index) + 1
    end = text.find("\n", item.end_mark.index)
    end = len(text) if end < 0 else end
    return start, end - 1 if text[start:end].endswith("\r") else end


def _without(text: str, item: Node) -> Edit:
    start, end = _line(text, item)
    after = text.find("\n", end)
    return Edit(start=start, end=len(text) if after < 0 else after + 1, text="")


def _below(text: str, last: Node, names: Sequence[str]) -> Edit:
    start, end = _line(text, last)
    lead = text[start : last.start_mark.index]
    newline = "\r\n" if text[end : end + 2] == "\r\n" else "\n"
    return Edit(start=end, end=end, text="".join(f"{newline}{lead}{spelled(name)}" for name in names))
