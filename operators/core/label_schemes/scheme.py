"""A scheme: the label list of another tool, and which of its labels make up each of our structures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

from operators.core.anatomy import LABELS
from operators.core.errors import UsageError
from operators.core.label_schemes.label_sides import split_side

__all__ = ["LabelSource", "Made", "Scheme", "load_scheme", "plain_name", "scheme_names", "side_number"]

Made = Literal["automatic", "semiautomatic", "manual"]
_HIGHEST = 65535
_INDICES = {s.name: s.index for s in LABELS}
_KEYS = {"name", "version", "source", "made", "structures", "groups", "wider", "labels", "other_lists"}


@dataclass(frozen=True)
class Scheme:
    """How to read a label map that was made elsewhere.

    Attributes
    ----------
    name, version : str
        Of the tool that made the labels.
    source : str
        Where its list of labels can be checked.
    made : {"automatic", "semiautomatic", "manual"}
        As in DICOM's SegmentAlgorithmType.
    labels : mapping of int to str
        The tool's whole list, including labels that we do not use.
    structures : mapping of str to tuple of str
        For each of our structures, the tool's labels that make it up, both sides together.
    groups : mapping of str to tuple of tuples of str
        For each group of structures that the tool labels only together: our
        structures, and the tool's labels.
    wider : mapping of str to str
        What a structure includes in this scheme beyond its name.
    other_lists : str
        A sentence on other versions that number structures otherwise; errors repeat it.

    Raises
    ------
    UsageError
        When a name is not in the label table or in the tool's list, or is used twice.
    """

    name: str
    version: str
    source: str
    labels: Mapping[int, str]
    structures: Mapping[str, tuple[str, ...]]
    groups: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)
    wider: Mapping[str, str] = field(default_factory=dict)
    made: Made = "automatic"
    other_lists: str = ""

    def __post_init__(self) -> None:
        ours = [*self.structures, *(name for of, _ in self.groups.values() for name in of)]
        theirs = [name for names in self.structures.values() for name in names]
        theirs += [name for _, names in self.groups.values() for name in names]
        self._check([name for name in ours if name not in _INDICES], "structures that are not in the label table")
        self._check([name for name in theirs if name not in self.labels.values()], "names that are not among `labels`")
        self._check([name for name in set(ours) if ours.count(name) > 1], "structures given twice")
        self._check([name for name in set(theirs) if theirs.count(name) > 1], "labels used twice")
        self._check([name for name in self.wider if name not in self.structures], "`wider` structures not given")
        for name, (of, names) in self.groups.items():
            if not of or not names:
                found = f"group {name} without {'structures' if not of else 'labels'}"
                raise UsageError(f"scheme {self.name}", found, "`of` and `from` with a name each", "Complete it.")
        if self.made not in get_args(Made):
            raise UsageError(f"scheme {self.name}", f"made: {self.made}", " or ".join(get_args(Made)), "Correct it.")
        if not ours:
            raise UsageError(f"scheme {self.name}", "no structure", "`structures` or `groups`", "Complete it.")

    def _check(self, wrong: list[str], what: str) -> None:
        if wrong:
            raise UsageError(
                f"scheme {self.name}",
                f"{what}: {', '.join(sorted(set(wrong)))}",
                "names of operators/core/anatomy/structures.csv on the left and of `labels` on the right",
                "The schemes that come with SarcoMAP show how.",
            )

    def targets(self) -> dict[str, int]:
        """For each of the tool's names that we use: the index in the label table, or minus the group's number
        (counted from 1)."""
        found = {name: _INDICES[ours] for ours, names in self.structures.items() for name in names}
        for number, (_, names) in enumerate(self.groups.values(), start=1):
            found |= dict.fromkeys(names, -number)
        return found

    def sides(self) -> dict[str, int]:
        """For each of the tool's names that we use and that states a side: 1 for left, 2 for right."""
        return {name: side for name in self.targets() if (side := side_number(name))}


@dataclass(frozen=True)
class LabelSource:
    """A label map and the scheme to read it with.

    Attributes
    ----------
    path : Path
    scheme : Scheme
    """

    path: Path
    scheme: Scheme


def scheme_names() -> tuple[str, ...]:
    """Names of the schemes that come with SarcoMAP."""
    folder = resources.files(__package__)
    return ("ours", *sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".yaml")))


def load_scheme(name: str) -> Scheme:
    """Load a scheme by its name, from a YAML file of the same form, or from the ``dataset.json`` of an nnU-Net.

    Raises
    ------
    UsageError
        When no scheme has that name, or the file is not a scheme.
    """
    if name == "ours":
        labels = {index: ours for ours, index in _INDICES.items()}
        itself = {ours: (ours,) for ours in _INDICES}
        # A label map with our own labels was most likely edited by hand.
        return Scheme("SarcoMAP label table", "1", "SarcoMAP", labels, itself, made="semiautomatic")
    if name in scheme_names():
        text = resources.files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    elif name.endswith(".json"):
        from operators.core.label_schemes.nnunet_list import scheme_of_nnunet

        return scheme_of_nnunet(Path(name))
    elif name.endswith((".yaml", ".yml")):
        try:
            text = Path(name).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise UsageError("--scheme", f"{name} is not UTF-8 text", "a YAML file", "Save it as UTF-8.") from error
        except OSError as error:
            raise UsageError("--scheme", f"{name} cannot be read", "a YAML file", "Check the path.") from error
    else:
        raise UsageError(
            "--scheme",
            repr(name),
            f"{', '.join(scheme_names())}, a .yaml file or an nnU-Net's dataset.json",
            "See docs/inference.md.",
        )
    import yaml  # 15 ms that no help text should wait for

    from operators.core.yaml_files import load_yaml

    try:
        facts = load_yaml(text)
    except yaml.YAMLError as error:
        found = f"{name} is not YAML ({' '.join(str(error).split())})"
        raise UsageError("--scheme", found, "a YAML file with each key once", "Correct it.") from error
    return _scheme(name, facts)


def plain_name(name: str) -> str:
    """A segment's name in the form that the lists use: lower case, with words joined by underscores."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def side_number(name: str) -> int:
    """The side that a label's, segment's or mask's name states: 1 for left, 2 for right, 0 for none."""
    return {"left": 1, "right": 2, None: 0}[split_side(plain_name(name))[1]]


def _scheme(where: str, facts: Any) -> Scheme:
    try:
        if not isinstance(facts, dict):
            raise ValueError("it has no keys")
        unknown = set(facts) - _KEYS
        if unknown:
            raise ValueError(f"unknown keys {', '.join(sorted(map(str, unknown)))}")
        return Scheme(
            name=str(facts["name"]),
            version=str(facts["version"]),
            source=str(facts["source"]),
            made=facts.get("made", "automatic"),
            labels={_number(number): str(name) for number, name in facts["labels"].items()},
            structures={str(ours): _names(theirs) for ours, theirs in (facts.get("structures") or {}).items()},
            groups={
                str(name): (_names(group["of"]), _names(group["from"]))
                for name, group in (facts.get("groups") or {}).items()
            },
            other_lists=str(facts.get("other_lists") or ""),
            wider={str(ours): str(what) for ours, what in (facts.get("wider") or {}).items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"--scheme {where}",
            f"not a scheme ({type(error).__name__}: {error})",
            "name, version, source, labels, and structures or groups",
            "The schemes that come with SarcoMAP show how.",
        ) from error


def _number(value: Any) -> int:
    """A label's number. YAML reads ``yes`` as true, which would be 1, and 1.5 would become 1."""
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    if type(number) is not int or not 0 <= number <= _HIGHEST:
        raise ValueError(f"label {value!r} is no whole number from 0 to {_HIGHEST}")
    return number


def _names(value: Any) -> tuple[str, ...]:
    return tuple(str(name) for name in ([value] if isinstance(value, str) else value))
