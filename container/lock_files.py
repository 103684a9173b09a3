"""The lock files in ``locks/``: the exact version of every package of a variant, with the digests of its files.

`container.make_locks` makes them, and `container.install` installs from them.
This module needs the standard library only, so that a new virtual environment
can install itself.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from operators.core.errors import UsageError

__all__ = [
    "CPU_BUILD",
    "LOCKS",
    "PROJECT",
    "VARIANTS",
    "LockedPackage",
    "cuda_libraries",
    "declared_requirements",
    "normalized_name",
    "read_lock",
    "requirement_lines",
    "select",
]

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
LOCKS = Path(__file__).parents[1] / "locks"
VARIANTS = ("cpu", "gpu")
CPU_BUILD = "+cpu"
"""PyTorch's mark of builds without CUDA. The public index has no such builds for Linux."""

_PACKAGE = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[^\s;]+)(?: ; (?P<marker>.*?))?(?: \\)?")
_DIGEST = re.compile(r"--hash=(sha256:[0-9a-f]{64})")
_OURS = "sarcomap"


@dataclass(frozen=True)
class LockedPackage:
    """One entry of a lock file.

    Attributes
    ----------
    name : str
        Normalized (PEP 503).
    version : str
    marker : str
        Environment marker (PEP 508); empty if the package is always needed.
    digests : tuple of str
        ``sha256:...`` of every file that may be installed.
    needed_by : frozenset of str
        Normalized names of the packages that need this one, possibly our own.
    """

    name: str
    version: str
    marker: str
    digests: tuple[str, ...]
    needed_by: frozenset[str]

    def line(self) -> str:
        """The entry as a line of a requirements file."""
        exactly = "" if self.version.startswith("===") else "=="
        marker = f" ; {self.marker}" if self.marker else ""
        return f"{self.name}{exactly}{self.version}{marker} " + " ".join(f"--hash={each}" for each in self.digests)


def read_lock(path: Path) -> list[LockedPackage]:
    """Read a lock file of `container.make_locks`.

    Raises
    ------
    UsageError
        If the file cannot be read or a package has no digest.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(str(path), f"not readable ({error.strerror})", "a lock file", "Run: make lock") from error
    packages: list[LockedPackage] = []
    for line in text.splitlines():
        if start := _PACKAGE.fullmatch(line):
            name = normalized_name(start["name"])
            packages.append(LockedPackage(name, start["version"], start["marker"] or "", (), frozenset()))
        elif packages and (digest := _DIGEST.search(line)):
            packages[-1] = replace(packages[-1], digests=(*packages[-1].digests, digest[1]))
        elif packages and line.startswith("    #"):
            need = line.strip(" #").removeprefix("via").strip()
            if need and not need.startswith("-"):  # "-c FILE" names the constraint, not a package
                parents = packages[-1].needed_by | {normalized_name(need)}
                packages[-1] = replace(packages[-1], needed_by=parents)
    if bare := [each.name for each in packages if not each.digests]:
        raise UsageError(str(path), f"no digest of {', '.join(bare)}", "one per file", "Run: make lock")
    return packages


def declared_requirements(project: Path, extras: Iterable[str] = ()) -> list[str]:
    """Requirements of ``pyproject.toml``, as written: the base ones and those of extras. Extras may name each other.

    Raises
    ------
    UsageError
        If there is no such extra.
    """
    table = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    optional = table["optional-dependencies"]
    found = list(table["dependencies"])
    waiting, seen = list(extras), set[str]()
    while waiting:
        extra = waiting.pop(0)
        if extra in seen:
            continue
        seen.add(extra)
        if extra not in optional:
            raise UsageError("extras", extra, ", ".join(optional), f"Choose extras of {project.name}.")
        for requirement in optional[extra]:
            if nested := re.fullmatch(rf"{_OURS}\[(.+)\]", requirement):
                waiting += [each.strip() for each in nested[1].split(",")]
            else:
                found.append(requirement)
    return found


def select(
    packages: Sequence[LockedPackage], wanted: Iterable[str], leave_out: Collection[str] = ()
) -> list[LockedPackage]:
    """The wanted packages and all their dependencies.

    Parameters
    ----------
    packages : sequence of LockedPackage
    wanted : iterable of str
        Names, or requirements that begin with a name.
    leave_out : collection of str
        Packages to leave out, together with dependencies that only they need.

    Raises
    ------
    UsageError
        If a package is not in the lock file.
    """
    names = {each.name for each in packages}
    left_out = {normalized_name(each) for each in leave_out}
    waiting = [normalized_name(each) for each in wanted]
    if unknown := sorted((set(waiting) | left_out) - names):
        raise UsageError(
            "lock file", f"without {', '.join(unknown)}", "every package of pyproject.toml", "Run: make lock"
        )
    taken = set[str]()
    while waiting:
        name = waiting.pop()
        if name not in taken and name not in left_out:
            taken.add(name)
            waiting += [each.name for each in packages if name in each.needed_by]
    return [each for each in packages if each.name in taken]


def cuda_libraries(cpu: Sequence[LockedPackage], gpu: Sequence[LockedPackage]) -> list[LockedPackage]:
    """Packages that the public index's build of torch needs besides those of the CPU variant."""
    have = {each.name for each in cpu}
    return [each for each in select(gpu, ["torch"]) if each.name not in have]


def requirement_lines(
    variant: str,
    wanted: Iterable[str],
    leave_out: Collection[str] = (),
    torch_build: str = "",
    folder: Path = LOCKS,
) -> list[str]:
    """Lines for ``pip install --require-hashes --no-deps --requirement``.

    Parameters
    ----------
    variant : {"cpu", "gpu"}
    wanted : iterable of str
        Names, or requirements that begin with a name.
    leave_out : collection of str
    torch_build : str
        ``"+cpu"``: take that build of torch, and fail if no index has it. Empty: take the public index's build and
        the CUDA libraries that it needs, from the other lock file.
    folder : Path
        Folder of the lock files.
    """
    locked = read_lock(folder / f"{variant}.txt")
    chosen = select(locked, wanted, leave_out)
    if any(each.name == "torch" for each in chosen):
        if variant == "cpu" and not torch_build:
            chosen += cuda_libraries(locked, read_lock(folder / "gpu.txt"))
        # "==2.13.0" also matches "2.13.0+cpu", which pip prefers; "===" matches the plain build only.
        build = torch_build if variant == "cpu" else ""
        chosen = [
            replace(each, version=f"{each.version}{build}" if build else f"==={each.version}")
            if each.name == "torch"
            else each
            for each in chosen
        ]
    return [each.line() for each in chosen]


def normalized_name(requirement: str) -> str:
    """The package's name in a requirement, normalized (PEP 503)."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[(=<>!~; ]", requirement.strip(), maxsplit=1)[0]).lower()
