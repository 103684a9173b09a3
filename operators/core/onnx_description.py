"""The description of an ONNX network: how an image is brought to what the network takes, and what its scores mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from operators.core.contrast import Contrast
from operators.core.errors import UsageError

if TYPE_CHECKING:
    from operators.core.segmenters import Segmenter

__all__ = ["Normalisation", "OnnxDescription", "description_file", "of_onnx", "read_onnx_description"]

Normalisation = Literal["none", "zscore", "zscore_nonzero", "range", "percentiles", "mean_and_sd"]

_ENDINGS = (".yaml", ".yml", ".json")
_NAMED = {"R": "RL", "L": "RL", "A": "AP", "P": "AP", "S": "SI", "I": "SI"}
_WITH_VALUES = {"range", "percentiles", "mean_and_sd"}


@dataclass(frozen=True)
class OnnxDescription:
    """How to run an ONNX network on a fused study.

    The network takes one array (batch, channel, axes) of float32 and returns scores (batch, label, axes), or labels
    (batch, axes) or (batch, 1, axes) when `output` says so.

    Attributes
    ----------
    name : str
    scheme : str
        Name of a scheme, or a file beside the description: what the network's numbers mean.
    window : tuple of int
        Two numbers for slices, three for a volume: the size of the array's axes. Larger images are cut into windows.
    orientation : str
        Three letters of R, L, A, P, S and I: where each axis of the array runs to. For slices, the first two are the
        slice's axes (rows, columns), and the third is the axis along which the slices follow one another.
    spacing_mm : tuple of float or None
        Along the same three axes; None keeps that of the image.
    contrasts : tuple of Contrast
        The fused images, in the order of the channels.
    normalisation : str
        ``none``; ``zscore`` (mean 0, SD 1 over the whole volume); ``zscore_nonzero`` (over the voxels that are not 0,
        and 0 stays 0); ``range`` (two values to 0 and 1, clipped); ``percentiles`` (two percentiles to 0 and 1,
        clipped); ``mean_and_sd`` (of the training set).
    normalisation_values : tuple of float
        The two numbers for the last three.
    overlap : float
        Of neighbouring windows, as a fraction.
    output : {"scores", "labels"}
    values : tuple of int
        The number in the scheme of each label of the network, background included; empty when they are the same.
    version, source : str

    Raises
    ------
    UsageError
        For a value that cannot be used.
    """

    name: str
    scheme: str
    window: tuple[int, ...]
    orientation: str = "RAS"
    spacing_mm: tuple[float | None, ...] = (None, None, None)
    contrasts: tuple[Contrast, ...] = (Contrast.WATER,)
    normalisation: Normalisation = "none"
    normalisation_values: tuple[float, ...] = ()
    overlap: float = 0.5
    output: Literal["scores", "labels"] = "scores"
    values: tuple[int, ...] = ()
    version: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        low_high = self.normalisation_values
        checks: list[tuple[str, bool, str]] = [
            ("window", len(self.window) in (2, 3) and min(self.window) >= 1, "two or three whole numbers"),
            (
                "orientation",
                sorted(_NAMED.get(letter, "") for letter in self.orientation) == ["AP", "RL", "SI"],
                "three letters, such as RAS: one of R and L, one of A and P, one of S and I",
            ),
            (
                "spacing_mm",
                len(self.spacing_mm) == 3 and all(mm is None or 0 < mm < 1000 for mm in self.spacing_mm),
                "three lengths in mm, or null to keep the image's",
            ),
            ("contrasts", 0 < len(self.contrasts) == len(set(self.contrasts)), "some of water, fat, in and opp"),
            ("normalisation", self.normalisation in get_args(Normalisation), ", ".join(get_args(Normalisation))),
            (
                "normalisation_values",
                len(low_high) == (2 if self.normalisation in _WITH_VALUES else 0),
                f"two numbers with {', '.join(sorted(_WITH_VALUES))}, none without",
            ),
            ("overlap", 0 <= self.overlap < 1, "a fraction from 0 to below 1"),
            ("output", self.output in ("scores", "labels"), "scores or labels"),
            ("values", all(0 <= value <= 65535 for value in self.values), "whole numbers from 0 to 65535"),
        ]
        if self.normalisation in ("range", "percentiles") and len(low_high) == 2:
            checks.append(("normalisation_values", low_high[0] < low_high[1], "the lower one first"))
        if self.normalisation == "mean_and_sd" and len(low_high) == 2:
            checks.append(("normalisation_values", low_high[1] > 0, "a positive SD"))
        if self.normalisation == "percentiles" and len(low_high) == 2:
            checks.append(("normalisation_values", min(low_high) >= 0 and max(low_high) <= 100, "from 0 to 100"))
        for key, usable, expected in checks:
            if not usable:
                raise _unusable(self.name, f"{key}: {getattr(self, key)}", expected)


def description_file(model: Path) -> Path:
    """The description beside an ONNX file: the same name with .yaml, .yml or .json.

    Raises
    ------
    UsageError
        When there is none or more than one, or the model is not an ONNX file.
    """
    if model.suffix.lower() != ".onnx" or not model.is_file():
        raise UsageError(f"--segmenter-model {model.name}", "no ONNX file", "a file that ends in .onnx", "Check it.")
    found = [model.with_suffix(ending) for ending in _ENDINGS if model.with_suffix(ending).is_file()]
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise UsageError(f"--segmenter-model {model.name}", names, "one description beside it", "Remove the other.")
    if not found:
        raise UsageError(
            f"--segmenter-model {model.name}",
            "no description beside it",
            f"{model.stem}.yaml: window, orientation, spacing, normalisation, channels and scheme of the network",
            "Write it; docs/inference-tools.md shows one.",
        )
    return found[0]


def read_onnx_description(model: Path) -> OnnxDescription:
    """Read the description of an ONNX file.

    Raises
    ------
    UsageError
        When it is missing or cannot be used.
    """
    path = description_file(model)
    facts = _facts(path)
    known = {field.name for field in fields(OnnxDescription)}
    wrong = sorted(set(map(str, facts)) - known) + [key for key in ("name", "scheme", "window") if key not in facts]
    if wrong:
        raise _unusable(path.name, f"unknown or missing keys: {', '.join(wrong)}", ", ".join(sorted(known)))
    try:
        values: dict[str, Any] = dict(facts)
        for key in ("window", "values"):
            values[key] = tuple(_whole(number) for number in _listed(values.get(key, [])))
        values["spacing_mm"] = tuple(
            None if mm is None else float(mm) for mm in _listed(values.get("spacing_mm", [None] * 3))
        )
        values["normalisation_values"] = tuple(float(n) for n in _listed(values.get("normalisation_values", [])))
        values["contrasts"] = tuple(Contrast(name) for name in _listed(values.get("contrasts", ["water"])))
        values["overlap"] = float(values.get("overlap", 0.5))
        for key in ("name", "scheme", "version", "source", "orientation"):
            if key in values:
                values[key] = str(values[key])
        scheme = path.parent / values["scheme"]
        values["scheme"] = str(scheme) if scheme.is_file() else values["scheme"]
        return OnnxDescription(**values)
    except (TypeError, ValueError) as error:
        raise _unusable(path.name, str(error), "values as docs/inference-tools.md describes them") from error


def of_onnx(tool: Segmenter, model: Path) -> Segmenter:
    """The known tool ``onnx`` for one network: its contrasts and its scheme."""
    network = read_onnx_description(model)
    return replace(
        tool,
        contrast=" ".join(contrast.value for contrast in network.contrasts),
        scheme=network.scheme,
        source=network.source or tool.source,
    )


def _facts(path: Path) -> Mapping[str, Any]:
    import yaml

    from operators.core.yaml_files import load_yaml

    try:
        text = path.read_text(encoding="utf-8")
        facts = json.loads(text) if path.suffix == ".json" else load_yaml(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise _unusable(path.name, f"not readable ({type(error).__name__})", "a YAML or JSON file") from error
    if not isinstance(facts, dict):
        raise _unusable(path.name, "no keys", "a description of a network")
    return facts


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} where a list belongs")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} where a whole number belongs")
    return value


def _unusable(where: str, found: str, expected: str) -> UsageError:
    return UsageError(f"ONNX description {where}", found, expected, "Correct it; docs/inference-tools.md shows one.")
