"""Other tools that can label a fused study: how each is called, and what its numbers mean.

A tool is a program that reads one NIfTI image and writes one NIfTI label map on the same
grid. Tools that are not listed are described in a YAML file with the same keys.
"""

from __future__ import annotations

import shlex
import string
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from operators.core.contrast import Contrast
from operators.core.errors import UsageError
from operators.core.label_schemes import load_scheme

__all__ = ["Segmenter", "load_segmenter", "segmenter_names"]

_PLACES = {"input", "output", "folder"}


@dataclass(frozen=True)
class Segmenter:
    """A tool of another maker.

    Attributes
    ----------
    name : str
    command : str
        Split into words as a shell does, but run without a shell. ``{input}`` is the path of the image, ``{output}``
        that of the label map to write, ``{folder}`` the folder of both.
    scheme : str
        Name of a scheme, or a YAML file: what its numbers mean.
    version : str
        A command that prints the tool's version; empty when it has none.
    writes : str
        Pattern of the label map's name in ``{folder}``, for a tool that chooses the name itself.
    contrast : Contrast
        The fused image that it reads.
    source : str
        Where its command line is documented.

    Raises
    ------
    UsageError
        For a command without ``{input}``, with an unknown place, or that is no list of words.
    """

    name: str
    command: str
    scheme: str
    version: str = ""
    writes: str = "labels.nii.gz"
    contrast: Contrast = Contrast.WATER
    source: str = ""

    def __post_init__(self) -> None:
        try:
            places = {place for _, place, _, _ in string.Formatter().parse(self.command) if place is not None}
            words = shlex.split(self.command)
        except ValueError as error:
            raise self._unusable(f"a command that cannot be read ({error})") from error
        if not words or "input" not in places or places - _PLACES:
            raise self._unusable(f"a command with the places {', '.join(sorted(places)) or 'none'}")
        try:
            object.__setattr__(self, "contrast", Contrast(self.contrast))
        except ValueError:
            raise self._unusable(f"contrast {self.contrast}") from None

    @property
    def program(self) -> str:
        """The program that must be installed."""
        return shlex.split(self.command)[0]

    def words(self, **places: Path) -> list[str]:
        """The command's words with the places filled in."""
        return [word.format(**{name: str(path) for name, path in places.items()}) for word in shlex.split(self.command)]

    def _unusable(self, found: str) -> UsageError:
        expected = "a program with {input} and {output} (or {folder}), and a contrast of in, opp, water or fat"
        return UsageError(f"segmenter {self.name}", found, expected, "Correct its description; see docs/inference.md.")


_KNOWN: Mapping[str, Segmenter] = {
    tool.name: tool
    for tool in (
        Segmenter(
            "totalsegmentator",
            "TotalSegmentator -i {input} -o {output} --task total_mr --ml",
            "totalsegmentator",
            "TotalSegmentator --version",
            source="https://github.com/wasserth/TotalSegmentator",
        ),
        Segmenter(
            "totalsegmentator-thigh",
            "TotalSegmentator -i {input} -o {output} --task thigh_shoulder_muscles_mr --ml",
            "totalsegmentator_thigh",
            "TotalSegmentator --version",
            source="https://github.com/wasserth/TotalSegmentator",
        ),
        Segmenter(
            "musclemap",
            "mm_segment -i {input} -r wholebody -o {folder}",
            "musclemap_1_4",
            "",
            "*_dseg.nii.gz",
            source="https://github.com/MuscleMap/MuscleMap",
        ),
    )
}


def segmenter_names() -> tuple[str, ...]:
    """The tools that are known by name."""
    return tuple(_KNOWN)


def load_segmenter(name: str) -> Segmenter:
    """A tool by its name, or by the YAML file that describes it.

    Raises
    ------
    UsageError
        When neither is found, or the description cannot be used.
    """
    if name in _KNOWN:
        return _KNOWN[name]
    path = Path(name)
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        raise UsageError(
            "--segmenter", name, f"{', '.join(_KNOWN)}, or a .yaml file that describes a tool", "Choose one of them."
        )
    facts = _read(path)
    keys = {field.name for field in fields(Segmenter)}
    wrong = sorted(set(facts) - keys) + [key for key in ("name", "command", "scheme") if key not in facts]
    if wrong or not all(isinstance(value, str) for value in facts.values()):
        found = f"unknown or missing keys: {', '.join(wrong)}" if wrong else "values that are not text"
        raise UsageError(path.name, found, f"text for keys among {', '.join(sorted(keys))}", "See docs/inference.md.")
    scheme = path.parent / facts["scheme"]
    tool = Segmenter(**{**facts, "scheme": str(scheme) if scheme.is_file() else facts["scheme"]})
    load_scheme(tool.scheme)
    return tool


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        facts = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UsageError(path.name, f"not readable ({type(error).__name__})", "a YAML file", "Correct it.") from error
    if not isinstance(facts, dict):
        raise UsageError(path.name, "no keys", "a description of a tool", "See docs/inference.md.")
    return facts
