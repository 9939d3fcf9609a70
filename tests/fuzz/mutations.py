"""How inputs are spoilt: bytes and trees that begin as something real, because nonsense alone gets nowhere.

Everything is drawn from one `random.Random`, so a case is known by its eight bytes.
"""

import copy
import random
from collections.abc import Mapping, Sequence
from typing import Any

TOKENS: tuple[bytes, ...] = (
    b"\x00", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r\n", b"\n", b"\t", b" ", b'"', b"'", b"\\", b"\\u0000",
    b"\\ud800", b"[", b"]", b"{", b"}", b":", b",", b"null", b"true", b"-0", b"1e999", b"NaN", b"9" * 30, b"0.1",
    b"-1", b"${HOME}", b"${", b"${file:/etc/hostname}", b"{{ ", b" }}", b"{% for x in contact %}", b"&a ", b"*a",
    b"!!x ", b"<<: ", b"? ", b"- ", b"|\n", b">\n", b"#", b"%YAML 1.1\n", b"---\n", b"\xe2\x80\xae", b"(a+)+$", b"$x",
    b"now - 30 days", b"[" * 300, b"{" * 300, b"a" * 3_000,
)  # fmt: skip
STRANGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64 - 1, -(2**63), 1e308, 0.5, "", " ", "0", "-1", "yes", "null",
    "\x00", "é", "\u202e", "a" * 5_000, "1" * 5_000, "${X}", "{{ contact.x }}", "{{", "$x", "now", "3 days",
    "9999999999 weeks",
    "2026-13-45", "contact.propertyChange", "object.merge", "0-1", "contact", "lead", "(", "[a-", "a@example.com",
    [], {}, [[]], [{}], {"": None}, [None], ["a", "a"], {"is": {}}, {"any": []}, {"not": None},
    {"all": [{"x": {"is": 1}}]},
)  # fmt: skip


def spoil_bytes(rng: random.Random, raw: bytes, others: Sequence[bytes] = ()) -> bytes:
    """Change a few places: flip, cut, repeat, swap, put in something that means something."""
    data = bytearray(raw)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at, end = sorted((rng.randint(0, len(data)), rng.randint(0, len(data))))
        end = min(end, at + rng.choice((1, 4, 40, 4_000)))
        match rng.randrange(8):
            case 0 if data:
                data[min(at, len(data) - 1)] ^= 1 << rng.randrange(8)
            case 1:
                del data[at:end]
            case 2:
                data[at:at] = data[at:end] * rng.choice((1, 2, 50))
            case 3:
                data[at:end] = rng.choice(TOKENS)
            case 4:
                data[at:at] = rng.choice(TOKENS)
            case 5:
                data[at:end] = rng.randbytes(rng.choice((1, 2, 20)))
            case 6 if others:
                other = rng.choice(others)
                start = rng.randint(0, len(other))
                data[at:end] = other[start : start + rng.choice((4, 40, 400))]
            case _:
                lines = bytes(data).split(b"\n")
                rng.shuffle(lines) if len(lines) < 200 and rng.random() < 0.3 else lines.insert(0, rng.choice(lines))
                data = bytearray(b"\n".join(lines))
    return bytes(data[:300_000])


def spoil_tree(rng: random.Random, tree: Any) -> Any:
    """Give a copy in which a few values, keys or entries are others, missing or twice."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice((1, 1, 2, 4))):
        tree = _spoil_once(rng, tree)
    return tree


def _spoil_once(rng: random.Random, tree: Any) -> Any:
    places = _places(tree)
    if not places or rng.random() < 0.02:
        return strange(rng)
    holder, key = rng.choice(places)
    match rng.randrange(6):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[rng.choice(("", "id", "x" * 300, "when", "stage", "é", str(key).upper(), " "))] = holder.pop(key)
        case 2 if isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        case 3:
            other, name = rng.choice(places)
            if name in other if isinstance(other, dict) else isinstance(name, int) and name < len(other):
                holder[key] = copy.deepcopy(other[name])
        case 4 if isinstance(holder[key], str) and holder[key]:
            text = holder[key]
            at = rng.randrange(len(text))
            holder[key] = text[:at] + str(rng.choice(("", " ", "$", ".", "\n", "{{", "é", "0"))) + text[at + 1 :]
        case _:
            holder[key] = strange(rng)
    return tree


def _places(tree: Any) -> list[tuple[Any, Any]]:
    places: list[tuple[Any, Any]] = []
    rest = [tree]
    while rest:
        holder = rest.pop()
        if isinstance(holder, Mapping):
            places += [(holder, key) for key in holder]
            rest += holder.values()
        elif isinstance(holder, list):
            places += [(holder, number) for number in range(len(holder))]
            rest += holder
    return places


def strange(rng: random.Random, depth: int = 0) -> Any:
    """Give a value that nobody expects, sometimes a small tree of them."""
    if depth < 3 and rng.random() < 0.15:
        if rng.random() < 0.5:
            return [strange(rng, depth + 1) for _ in range(rng.randrange(4))]
        return {str(rng.choice(STRANGE))[:20]: strange(rng, depth + 1) for _ in range(rng.randrange(4))}
    return copy.deepcopy(rng.choice(STRANGE))
