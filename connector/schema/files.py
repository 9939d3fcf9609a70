"""The schemas by the kind of file that they are for, as texts; and the line by which a file names its schema."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Literal

from connector.schema.cases import cases_schema
from connector.schema.configuration import config_schema
from connector.schema.offers import Offers, Schema, known_offers
from connector.schema.packs import pack_schema

Kind = Literal["pack", "cases", "config"]
FOLDER = ".stagekeeper"
"""Where `init` puts the schemas."""

_MAKERS: Mapping[Kind, Callable[[Offers], Schema]] = {
    "pack": pack_schema, "cases": cases_schema, "config": config_schema,
}  # fmt: skip
KINDS: tuple[Kind, ...] = tuple(_MAKERS)


def schema_of(kind: Kind, offers: Offers | None = None) -> Schema:
    """Give the schema of a kind of file; without offers, what is known without asking a portal is offered."""
    return _MAKERS[kind](offers or known_offers())


def schema_text(kind: Kind, offers: Offers | None = None) -> str:
    """Give the schema of a kind of file as JSON."""
    return json.dumps(schema_of(kind, offers), indent=2, ensure_ascii=False) + "\n"


def schema_file(kind: Kind) -> str:
    """Name the file of a schema."""
    return f"{kind}.schema.json"


def modeline(kind: Kind, path: Path) -> str:
    """Give the line by which editors find the schema of the file at this path below the folder of `init`."""
    up = [".."] * (len(path.parts) - 1)
    return f"# yaml-language-server: $schema={PurePosixPath(*up, FOLDER, schema_file(kind))}\n"
