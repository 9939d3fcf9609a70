"""Which requirements of the shipped packs no case cites, and which cited ids do not exist.

`python tests/requirements.py` lists both and leaves with 1 where a requirement that a contact can prove is not cited,
or an id is cited that does not exist. A case cites ids in the comment above it: `# SP-06 SP-12, edge: …`.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from connector.rulebook.reading import read_file

_TOP = Path(__file__).parent.parent
REQUIREMENTS = _TOP / "tests" / "data" / "requirements.yaml"
RULES = _TOP / "rules"
_PREFIXES = ("SP", "TW", "BA", "FU", "BI", "DE")
_ID = re.compile(rf"\b(?:{'|'.join(_PREFIXES)})-\d+\b")


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirement:
    """One requirement; `proved_by` names what proves it where no contact can."""

    id: str
    says: str
    proved_by: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """What no case cites although a contact can prove it, what is proved elsewhere, and what is cited in vain."""

    uncited: tuple[str, ...]
    proved_elsewhere: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Ask whether every requirement is proved and every citation right."""
        return not self.uncited and not self.unknown


def load_requirements(path: Path = REQUIREMENTS) -> dict[str, Requirement]:
    """Read the requirements by id; raises ValueError when the file is wrong."""
    document, problems = read_file(path)
    if document is None or problems:
        raise ValueError("\n".join(map(str, problems)))
    return {id_: Requirement(id=id_, **entry) for id_, entry in document.data.items()}


def citations(paths: Iterable[Path]) -> dict[str, list[str]]:
    """Give the places, as file:line, where each id is cited in a comment."""
    found: dict[str, list[str]] = {}
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            comment = line.strip() if line.lstrip().startswith("#") else ""
            for id_ in _ID.findall(comment):
                found.setdefault(id_, []).append(f"{path.name}:{number}")
    return found


def survey(requirements: Mapping[str, Requirement], cited: Mapping[str, list[str]]) -> Survey:
    """Compare what is required with what is cited."""
    missing = [requirement for id_, requirement in requirements.items() if id_ not in cited]
    return Survey(
        uncited=tuple(requirement.id for requirement in missing if requirement.proved_by is None),
        proved_elsewhere=tuple(requirement.id for requirement in missing if requirement.proved_by is not None),
        unknown=tuple(sorted(set(cited) - set(requirements))),
    )


def main() -> int:
    """Print the survey; give the exit code."""
    requirements, cited = load_requirements(), citations(sorted(RULES.glob("*_test.yaml")))
    found = survey(requirements, cited)
    for id_ in found.uncited:
        print(f"{id_} is cited by no case: {requirements[id_].says}")
    for id_ in found.unknown:
        print(f"{id_} does not exist, but is cited at {', '.join(cited[id_])}")
    for id_ in found.proved_elsewhere:
        print(f"{id_} is proved by {requirements[id_].proved_by}")
    number = len(requirements) - len(found.uncited) - len(found.proved_elsewhere)
    print(f"{len(requirements)} requirements: {number} by cases, {len(found.proved_elsewhere)} otherwise, "
          f"{len(found.uncited)} by nothing")  # fmt: skip
    return 0 if found.is_complete else 1


if __name__ == "__main__":
    sys.exit(main())
