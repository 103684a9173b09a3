"""How the numbers were made: the command, every option, and a paragraph to copy into a paper."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from operators.core.options import RunOptions, recorded
from operators.core.options.declaration import flag_of

__all__ = ["command_of", "methods_text", "options_of"]

_COVERED = {"device": ("fusion", "segmentation")}
"""An option that sets the same field of these stages."""
_SECRETS = {"--deidentify-key": "KEY_FILE", "--study-uid": "UID"}
"""Of these, the report says only that they were given."""
_PERSON, _OF_PERSON = "--person", "--sex, --age, --height-cm, --weight-kg"
"""The field that holds these four options; the report says only whether any was given."""


def options_of(report: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
    """Every option of the run: its flag, its value, and whether it is the default."""
    return [
        (_OF_PERSON if flag == _PERSON else flag, _text(value), value == default)
        for flag, value, default in _options(report["options"])
    ]


def command_of(report: Mapping[str, Any]) -> str:
    """The command that makes this report again; files are given by name, because the report knows no paths."""
    words = ["sarcomap", "run", "STUDY", "-o", "OUT"]
    for flag, value, default in _options(report["options"]):
        if value == default or value is None or value is False:
            continue
        if flag == _PERSON:
            continue
        if flag in _SECRETS:
            words += [flag, _SECRETS[flag]]
        elif value is True:
            words.append(flag)
        elif isinstance(value, list):
            words += [flag, *map(str, value)]
        else:
            words += [flag, str(value)]
    command = " ".join(word if word in ("STUDY", "OUT") else shlex.quote(word) for word in words)
    person = report["options"].get("reading", {}).get("person")
    return f"{command}  # with {_OF_PERSON} as they were given" if person else command


def methods_text(report: Mapping[str, Any]) -> str:
    """A paragraph for the methods section of a paper, made of what this run did."""
    model, software, options = report["model"], report["software"], report["options"]
    stations = report["quality"]["stations"]
    build = f", commit {software['git'][:12]}" if software["git"] else ""
    parts = [f"Dixon MRI was processed with {software['name']} {software['version']}{build}."]
    if stations:
        spacing = " × ".join(_range(sizes) for sizes in zip(*(s["spacing_mm"] for s in stations), strict=True))
        station = "stations" if len(stations) > 1 else "station"
        parts.append(f"{len(stations)} {station} (voxels of {spacing} mm) were fused on one grid.")
    if options.get("fusion", {}).get("fix_swaps"):
        parts.append("Water and fat that had been exchanged were corrected.")
    if model.get("made_elsewhere"):
        parts.append(f"Muscles and bones had been labelled with {model['name']} {model['version']}.")
    else:
        edited = ", and the labels were edited by hand" if model.get("made", "automatic") != "automatic" else ""
        parts.append(
            f"Muscles and bones were segmented by {model['name']} {model['version']} "
            f"(weights SHA-256 {model['sha256'][:12]}; training data: {model['training_data'].rstrip('.')}){edited}."
        )
    parts.append(
        "Total muscle volume is the sum of all labelled muscles; the posterior to anterior ratio is the volume of the "
        "hamstrings over that of the quadriceps; left-right asymmetry is the difference of the thigh muscle volumes "
        "over the larger one."
    )
    noise = report["quality"].get("noise") or {}
    corrected = ", corrected for noise," if noise.get("fat_sd") else ""
    parts.append(
        f"Muscle fat is the signal fat fraction F / (W + F){corrected} of T1-weighted magnitude images, averaged at "
        "least 3.5 mm inside the muscles; it is not the proton density fat fraction."
    )
    return " ".join(parts)


def _range(sizes_mm: Iterable[float]) -> str:
    """The sizes of voxels along one axis, which may differ between stations."""
    texts = [f"{size:.2f}" for size in sorted(sizes_mm)]
    return texts[0] if texts[0] == texts[-1] else f"{texts[0]} to {texts[-1]}"


def _options(options: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Flag, value and default of each option, each once; those that another option covers are left out."""
    told: set[tuple[str, Any]] = set()
    covered = {(stage, name) for name, stages in _COVERED.items() if options.get(name) is not None for stage in stages}
    for path, value in _leaves(options, ()):
        if path[-1] in _COVERED and path[:-1] and (path[0], path[-1]) in covered:
            continue
        if len(path) == 1 and path[0] in _COVERED and value is None:
            continue  # the stages say what they used
        flag, default = _flag(path[-1]), _defaults().get(path)
        if path[-1] in _COVERED:
            if (flag, value) in told:
                continue
            told.add((flag, value))
        yield flag, value, default


def _leaves(options: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*above, name))
        else:
            yield (*above, name), value


@cache
def _flag(field: str) -> str:
    return flag_of(field, RunOptions)


@cache
def _defaults() -> dict[tuple[str, ...], Any]:
    return dict(_leaves(recorded(RunOptions()), ()))


def _text(value: Any) -> str:
    if value is None or value == []:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
