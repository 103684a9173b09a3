"""``python -m container.install``: install the locked packages of some extras into this virtual environment.

It needs the standard library only. pip checks the digest of every file and
resolves no versions, because the lock file names every package.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from container.lock_files import (
    CPU_BUILD,
    PROJECT,
    VARIANTS,
    declared_requirements,
    normalized_name,
    requirement_lines,
)
from operators.core.errors import SarcoMapError

__all__ = ["install_packages", "install_project", "main"]


def install_packages(variant: str, wanted: Sequence[str]) -> None:
    """Install packages of a lock file and their dependencies.

    Parameters
    ----------
    variant : {"cpu", "gpu"}
    wanted : sequence of str
        Names, or requirements that begin with a name.

    Raises
    ------
    subprocess.CalledProcessError
        If pip fails. Its own message says why.
    """
    build = ""
    if variant == "cpu" and any(normalized_name(each) == "torch" for each in wanted):
        lines = requirement_lines(variant, ["torch"], torch_build=CPU_BUILD)
        build = CPU_BUILD
        try:
            _pip_install([line for line in lines if line.startswith("torch==")], quiet=True)
        except subprocess.CalledProcessError:
            print(
                "torch: pip found no build for the processor whose digest is in locks/cpu.txt (see docs/install.md). "
                "Installing the public index's build and the CUDA libraries that it needs: about 3 GB.",
                file=sys.stderr,
            )
            build = ""
    _pip_install(requirement_lines(variant, wanted, torch_build=build))


def install_project() -> None:
    """Install SarcoMAP itself as an editable package, with the installed setuptools."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-build-isolation", "--editable", str(PROJECT.parent)]
    done = subprocess.run(command, capture_output=True, text=True)  # setuptools warns of intended things
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        done.check_returncode()


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m container.install", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--variant", choices=VARIANTS, default="cpu")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--extras", type=_names, default=[], metavar="NAME,...", help="these extras, the variant's own and SarcoMAP"
    )
    what.add_argument("--packages", type=_names, metavar="NAME,...", help="only these packages and their dependencies")
    options = parser.parse_args(argv)
    try:
        if options.packages:
            install_packages(options.variant, options.packages)
        else:
            wanted = declared_requirements(PROJECT, [options.variant, *options.extras])
            install_packages(options.variant, [*wanted, "setuptools"])
            install_project()
    except SarcoMapError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except subprocess.CalledProcessError as error:
        return error.returncode
    return 0


def _names(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _pip_install(lines: Sequence[str], quiet: bool = False) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "requirements.txt"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*command, "--require-hashes", "--requirement", str(file)], check=True, capture_output=quiet)


if __name__ == "__main__":
    sys.exit(main())
