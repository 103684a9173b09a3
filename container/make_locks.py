"""``python -m container.make_locks``: make ``locks/*.txt`` from the ranges in ``pyproject.toml``.

uv resolves the versions for all supported Pythons at once. It keeps versions
that still fit, unless the newest are requested.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from container.lock_files import CPU_BUILD, LOCKS, PROJECT, VARIANTS, LockedPackage, read_lock
from operators.core.errors import SarcoMapError

__all__ = ["EXTRAS", "PYTHONS", "main"]

EXTRAS = ("deploy", "service", "cohort", "train", "n4", "dev")
"""Extras in every lock file. Each also holds the extra that its variant is named after."""
PYTHONS = ("3.11", "3.12", "3.13")
_HEADER = """\
# The exact packages of the variant "{variant}" for Python 3.11 to 3.13, with the digests of their files.
# Made by `make lock` from the ranges in pyproject.toml; do not edit. See docs/install.md.
"""
_UV = (sys.executable, "-m", "uv", "pip")
_PIP = (sys.executable, "-m", "pip")


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m container.make_locks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that the ranges allow")
    parser.add_argument(
        "--check",
        action="store_true",
        help="change nothing: check that the index has a built package of everything locked, for each supported Python",
    )
    options = parser.parse_args(argv)
    try:
        # The GPU variant comes first: if both variants have a package, the CPU variant takes the same version.
        for variant in reversed(VARIANTS):
            if options.check:
                _check(variant)
            else:
                _make(variant, options.upgrade)
    except SarcoMapError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except subprocess.CalledProcessError as error:
        return error.returncode  # the failed program has printed the reason
    return 0


def _make(variant: str, upgrade: bool) -> None:
    path = LOCKS / f"{variant}.txt"
    before = read_lock(path) if path.exists() else []
    command = [*_UV, "compile", "--quiet", PROJECT.name, "--universal", "--python-version", PYTHONS[0]]
    command += ["--generate-hashes", "--no-emit-index-url", "--no-header"]
    for extra in (variant, *EXTRAS):
        command += ["--extra", extra]
    if variant == "cpu":
        command += ["--config-file", "locks/torch-cpu.uv.toml", "--constraint", "locks/gpu.txt"]
    command += ["--upgrade"] if upgrade else []
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / path.name
        # uv keeps the versions that it finds there if they still fit. With digests it would keep those too and miss
        # files that were added to a release later.
        kept = [f"{each.name}=={each.version}" + (f" ; {each.marker}" if each.marker else "") for each in before]
        made.write_text("\n".join(kept), encoding="utf-8")
        subprocess.run(
            [*command, "--output-file", str(made)], check=True, cwd=PROJECT.parent, stdout=subprocess.DEVNULL
        )
        text = made.read_text(encoding="utf-8").replace("    #   -c locks/gpu.txt\n", "")
        if variant == "cpu":
            text = _with_cpu_builds(text, next(each for each in read_lock(made) if each.name == "torch"), before)
    path.write_text(_HEADER.format(variant=variant) + text, encoding="utf-8")


def _with_cpu_builds(text: str, torch: LockedPackage, before: list[LockedPackage]) -> str:
    """Add the digests of torch's CPU builds, which the public index does not have, to a lock file's text.

    Digests in an earlier lock file are kept while the version is the same.
    """
    digests = [
        digest for each in before if (each.name, each.version) == ("torch", torch.version) for digest in each.digests
    ]
    digests += _digests_of_cpu_build(torch.version)
    last = f"    --hash={torch.digests[-1]}"
    more = [f"    --hash={each}" for each in dict.fromkeys(digests) if each not in torch.digests]
    return text.replace(last, " \\\n".join([last, *more]), 1)


def _digests_of_cpu_build(version: str) -> list[str]:
    """Digest of torch's CPU build for this Python and this machine, if pip finds one."""
    with tempfile.TemporaryDirectory() as scratch:
        wanted = [f"torch=={version}{CPU_BUILD}", "--no-deps", "--dest", scratch]
        if subprocess.run([*_PIP, "download", "--quiet", *wanted], capture_output=True).returncode:
            print(f"torch {version}{CPU_BUILD}: pip finds no such build; known digests are kept", file=sys.stderr)
            return []
        files = [str(each) for each in Path(scratch).iterdir()]
        told = subprocess.run([*_PIP, "hash", *files], check=True, capture_output=True, text=True).stdout
    return re.findall(r"--hash=(sha256:[0-9a-f]{64})", told)


def _check(variant: str) -> None:
    for python in PYTHONS:
        with tempfile.TemporaryDirectory() as target:
            command = [*_UV, "install", "--dry-run", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
            command += ["--target", target, "--python", sys.executable, "--python-version", python]
            lock = str(LOCKS / f"{variant}.txt")
            done = subprocess.run([*command, "-r", lock], capture_output=True, text=True)
        if done.returncode:
            print(f"{variant}, Python {python}: not everything can be installed\n{done.stderr}", file=sys.stderr)
            done.check_returncode()
        count = re.search(r"Would install (\d+) packages", done.stderr)
        print(f"{variant}, Python {python}: {count[1] if count else 'all'} packages, each with a built file")


if __name__ == "__main__":
    sys.exit(main())
