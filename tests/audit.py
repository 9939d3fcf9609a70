"""`python -m tests.audit`: bandit over the product, pip-audit over what it is installed with.

pip-audit counts a package that it could not look up as a package without findings; here that is a failure of its own.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CURE = (
    "the vulnerability data could not be read. pip-audit asks https://pypi.org/pypi/<name>/<version>/json (or, with "
    "`--vulnerability-service osv`, https://api.osv.dev); a mirror of packages alone does not have it. Run "
    "`make audit` where one of the two can be reached"
)


def main() -> int:
    """Run both; 0 when clean, 1 with findings, 5 when the vulnerability data cannot be reached."""
    bandit = _run("bandit", "-q", "-c", "pyproject.toml", "-r", "connector")
    print(bandit.stdout.strip() or "bandit: clean")
    audited = _audit("pypi")
    if not any("vulns" in package for package in audited):
        audited = _audit("osv") or audited
    return _report(audited) or bandit.returncode


def _audit(service: str) -> list[dict[str, Any]]:
    arguments = ("-l", "--progress-spinner", "off", "--timeout", "10", "--vulnerability-service", service, "-f", "json")
    done = _run("pip_audit", *arguments)
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return []
    return [package for package in found if package["name"] != "stagekeeper"]  # our own, of which nothing is known


def _report(audited: list[dict[str, Any]]) -> int:
    unread = [package["name"] for package in audited if "vulns" not in package]
    if not audited or unread:
        names = ", ".join(unread[:5]) + (" …" if len(unread) > 5 else "")
        found = f"of {len(audited)} packages {len(unread)} could not be looked up ({names or 'no answer'})"
        print(f"pip-audit: {found}: {CURE}")
        return 5
    findings = [(package, each) for package in audited for each in package["vulns"]]
    for package, each in findings:
        fixed = ", ".join(each["fix_versions"]) or "no release"
        print(f"{package['name']} {package['version']}: {each['id']}; fixed in {fixed}")
    print(f"pip-audit: {len(audited)} packages, {len(findings)} findings")
    return 1 if findings else 0


def _run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
