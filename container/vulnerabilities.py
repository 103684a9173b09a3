"""``python -m container.vulnerabilities``: check the installed packages for known vulnerabilities.

pip-audit says "No known vulnerabilities found" and ends with 0 even for
packages that it could not look up. Therefore it also gets a package that is
known to be vulnerable. Its answer counts only if it reports that package.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["installed", "judge", "main"]

CANARY = ("jinja2", "2.10")
"""CVE-2019-10906, published in 2019."""
_OURS = "sarcomap"
_UNKNOWN_SHOWN = 5


def installed() -> list[str]:
    """``name==version`` of every installed distribution except ours, without local versions (``+cpu``)."""
    found = {
        (one.metadata["Name"].lower(), one.version.partition("+")[0])
        for one in metadata.distributions()
        if one.metadata["Name"] and one.metadata["Name"].lower() != _OURS
    }
    return sorted(f"{name}=={version}" for name, version in found)


def judge(asked: Mapping[str, Any], canary: Mapping[str, Any]) -> tuple[int, list[str]]:
    """Make the exit code and the lines of a report from two answers of ``pip-audit --format json``.

    Parameters
    ----------
    asked, canary : mapping
        Answers about the installed packages and about `CANARY`.

    Returns
    -------
    int
        0: no known vulnerabilities. 1: vulnerabilities. 2: not all packages could be looked up.
    list of str
    """
    if not any(one.get("vulns") for one in canary["dependencies"]):
        return 2, [
            f"error: audit: {CANARY[0]} {CANARY[1]} was not reported as vulnerable; expected CVE-2019-10906. The "
            "vulnerability database cannot be reached from this machine: run `make audit` on one that can reach it."
        ]
    lines = [
        f"{one['name']} {one['version']}: {flaw['id']} ({', '.join(flaw.get('aliases', [])) or 'no alias'}), "
        f"fixed in {', '.join(flaw.get('fix_versions', [])) or 'no release'}"
        for one in asked["dependencies"]
        for flaw in one.get("vulns", [])
    ]
    unknown = [one["name"] for one in asked["dependencies"] if "skip_reason" in one]
    if unknown:
        some = ", ".join(unknown[:_UNKNOWN_SHOWN]) + (" ..." if len(unknown) > _UNKNOWN_SHOWN else "")
        lines.append(
            f"error: audit: {len(unknown)} packages could not be looked up ({some}); expected an answer for each. "
            "Look them up by hand, or run `make audit` on a machine whose index has them."
        )
        return 2, lines
    if lines:
        return 1, lines
    return 0, [f"no known vulnerability in {len(asked['dependencies'])} packages"]


def main() -> int:
    """Run pip-audit and print the report; returns the exit code."""
    try:
        # The canary comes first: without a database, checking the other packages is pointless.
        canary = _ask(["==".join(CANARY)])
        code, lines = judge({"dependencies": []}, canary)
        if code == 0:
            code, lines = judge(_ask(installed()), canary)
    except RuntimeError as error:
        code, lines = 2, [str(error)]
    print("\n".join(lines), file=sys.stderr if code else sys.stdout)
    return code


def _ask(requirements: list[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text("\n".join(requirements) + "\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip_audit", "--requirement", str(file), "--no-deps", "--disable-pip"]
        command += ["--format", "json", "--progress-spinner", "off"]
        done = subprocess.run(command, capture_output=True, text=True)
    try:
        answer = json.loads(done.stdout)
        answer["dependencies"]
    except (ValueError, KeyError, TypeError) as error:
        # pip-audit's own message is a long traceback that names the server.
        raise RuntimeError(
            "error: audit: no answer from pip-audit; expected a list of vulnerabilities. It is not installed "
            "(make setup), or it cannot reach its database: run `make audit` on a machine that can reach it."
        ) from error
    return dict(answer)


if __name__ == "__main__":
    sys.exit(main())
