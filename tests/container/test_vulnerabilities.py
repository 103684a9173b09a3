"""An audit that could not look packages up never passes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from container.vulnerabilities import installed, judge

ROOT = Path(__file__).parents[2]
FLAW = {"id": "PYSEC-2019-217", "aliases": ["CVE-2019-10906"], "fix_versions": ["2.10.1"]}
SEEN = {"dependencies": [{"name": "jinja2", "version": "2.10", "vulns": [FLAW]}]}


def test_a_database_that_does_not_know_an_old_flaw_is_no_database() -> None:
    # pip-audit's answer, with exit code 0, when its database could not be reached.
    skipped = {"dependencies": [{"name": "jinja2", "skip_reason": "Dependency not found and could not be audited"}]}
    code, lines = judge({"dependencies": []}, skipped)
    assert code == 2 and "cannot be reached" in lines[0]


def test_a_package_that_could_not_be_looked_up_fails_the_audit() -> None:
    sound = {"name": "numpy", "version": "2.4.6", "vulns": []}
    assert judge({"dependencies": [sound]}, SEEN)[0] == 0
    code, lines = judge({"dependencies": [sound, {"name": "torch", "skip_reason": "not found"}]}, SEEN)
    assert code == 2 and "torch" in lines[-1]


def test_a_vulnerability_is_named_with_the_release_that_fixes_it() -> None:
    code, lines = judge(SEEN, SEEN)
    assert code == 1
    assert lines == ["jinja2 2.10: PYSEC-2019-217 (CVE-2019-10906), fixed in 2.10.1"]


def test_all_installed_packages_are_looked_up_without_local_versions() -> None:
    asked = installed()
    assert any(line.startswith("torch==") for line in asked) and any(line.startswith("pydicom==") for line in asked)
    assert not any("+" in line or line.startswith("sarcomap") for line in asked)


def test_without_a_network_the_command_fails_and_says_so() -> None:
    nowhere = "http://127.0.0.1:9"
    environment = {**os.environ, "HTTPS_PROXY": nowhere, "https_proxy": nowhere, "NO_PROXY": "", "no_proxy": ""}
    done = subprocess.run(
        [sys.executable, "-m", "container.vulnerabilities"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: audit: ") and len(done.stderr.splitlines()) == 1
