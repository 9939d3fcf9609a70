"""Test results as JUnit XML, as Jenkins, GitLab and GitHub's report actions read it.

There is no standard, but a common core: https://github.com/testmoapp/junitxml
"""

import re
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring  # nosec B405 - written, never read

from connector.cli.caserun import Run
from connector.moments import write_moment
from connector.rulebook.cases import CaseResult

# XML 1.0 cannot hold these, in no way at all. https://www.w3.org/TR/xml/#charsets
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_junit(runs: Sequence[Run], *, started: int, seconds: float) -> str:
    """Write results as one test suite; `started` is in epoch milliseconds."""
    kinds = [run.result.result for run in runs]
    suite = Element("testsuite", {
        "name": "stagekeeper", "tests": str(len(runs)), "failures": str(kinds.count("failed")),
        "errors": str(kinds.count("errored")), "skipped": "0", "time": f"{seconds:.3f}",
        "timestamp": write_moment(started).partition(".")[0].removesuffix("Z"),
    })  # fmt: skip
    for run in runs:
        _add(suite, run)
    indent(suite)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{tostring(suite, encoding="unicode")}'


def _add(suite: Element, run: Run) -> None:
    case = SubElement(suite, "testcase", {
        "classname": _clean(run.result.file), "name": _clean(run.result.name), "time": f"{run.seconds:.3f}",
        "file": _clean(run.result.file), "line": str(run.case.place.line),
    })  # fmt: skip
    if run.result.result == "passed":
        return
    lines = lines_of(run.result)
    kind = "failure" if run.result.result == "failed" else "error"
    code = "expectation" if kind == "failure" else run.result.problems[0].code
    SubElement(case, kind, {"message": _clean(lines[0]), "type": code}).text = _clean("\n".join(lines))


def lines_of(result: CaseResult) -> list[str]:
    """Say what differs, or why the case could not be judged, a line each."""
    differing = [f"{one.path}: expected {one.expected!r}, got {one.actual!r}" for one in result.differences]
    return [*differing, *map(str, result.problems)]


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
