"""Calibration of a network: how far its numbers are from the truth, and the intervals that follow from it.

A calibration belongs to weights, so its file lies beside the model card of the
bundle. Each number has a line that gives the expected truth for what was found,
and the scatter of the truth around it. The interval of a study is wider than that
of the calibration's studies where the network was less sure of its labels, or
where its stations were displaced by more.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from operators.core.errors import SegmentationError

__all__ = ["CALIBRATION_FILE", "Calibration", "Curve", "Form", "Interval", "read_calibration"]

CALIBRATION_FILE = "models/calibration.json"
"""The calibration of a bundle's weights, relative to its folder."""

Form = Literal["relative", "absolute", "signed"]
_CURVES = ("phenotypes", "structures", "sides")
_VERSION = 1
_REMEDY = "Make it again: python -m benchmarks.calibrate --help."


@dataclass(frozen=True)
class Interval:
    """Where the truth is expected.

    Attributes
    ----------
    standard_error : float
        Standard deviation of the truth around its expected value.
    low, high : float
        The truth lies between them in the calibration's `level` of studies.
        They need not lie evenly around the number that was found, because a bias
        of the network that the calibration knows moves them.
    """

    standard_error: float
    low: float
    high: float


@dataclass(frozen=True)
class Curve:
    """The calibration of one number.

    Attributes
    ----------
    form : {"relative", "absolute", "signed"}
        Whether it is fitted to logarithms, or to the values themselves. An
        asymmetry is fitted with its sign, which the reported number does not have.
    middle, intercept, slope : float
        Of the found values (their logarithms): the mean, the expected truth
        there, and the slope of the line.
    spread : float
        SD of the found values around `middle`.
    sd : float
        SD of the truth around the line.
    factor : float
        Half the width of the interval over its standard error.
    doubt, displacement : float
        The usual share of a structure's voxels that the network doubts, and of
        its volume that displacement between stations repeats or loses.
    n : int
        Number of studies.
    """

    form: Form
    middle: float
    intercept: float
    slope: float
    spread: float
    sd: float
    factor: float
    doubt: float
    displacement: float
    n: int

    def __post_init__(self) -> None:
        if not all(math.isfinite(getattr(self, one.name)) for one in fields(self)[1:]):
            raise ValueError("a number that is not finite")
        if min(self.spread, self.sd, self.factor) <= 0 or min(self.doubt, self.displacement) < 0 or self.n < 2:
            raise ValueError("a spread that is not positive")

    def line(self) -> str:
        """The form and the numbers, in the order of the attributes, with five digits."""
        return " ".join([self.form, *(f"{getattr(self, one.name):.5g}" for one in fields(self)[1:])])

    @classmethod
    def of_line(cls, line: str) -> Curve:
        """From `line`.

        Raises
        ------
        ValueError
            When it is not one.
        """
        form, *numbers, n = line.split()
        names = [one.name for one in fields(cls)][1:-1]
        if len(numbers) != len(names) or form not in get_args(Form):
            raise ValueError("not a curve")
        facts: dict[str, Any] = {"form": form, **dict(zip(names, map(float, numbers), strict=True)), "n": int(n)}
        return cls(**facts)

    def expected(self, found: float) -> float:
        """Expected truth, on the scale of the fit."""
        return self.intercept + self.slope * (found - self.middle)

    def error(self, found: float, doubt: float | None = None, displacement: float | None = None) -> float:
        """Standard error on the scale of the fit.

        Parameters
        ----------
        found : float
            On the scale of the fit.
        doubt, displacement : float or None
            Of the study; the usual ones if they are not known.
        """
        # The line is less certain away from the values that it was fitted to.
        line = math.sqrt(1 + (1 + ((found - self.middle) / self.spread) ** 2) / self.n)
        unsure = max(1.0, doubt / self.doubt) if doubt is not None and self.doubt > 0 else 1.0
        more = 0.0 if displacement is None else max(0.0, displacement**2 - self.displacement**2)
        return math.sqrt((self.sd * line * unsure) ** 2 + (0.0 if self.form == "absolute" else more))

    def interval(self, value: float, doubt: float | None = None, displacement: float | None = None) -> Interval | None:
        """Interval of a number; None where a logarithm does not exist.

        Parameters
        ----------
        value : float
            With its sign for the form ``signed``.
        doubt, displacement : float or None
            See `error`.
        """
        if self.form == "relative" and value <= 0:
            return None
        found = math.log(value) if self.form == "relative" else value
        centre, error = self.expected(found), self.error(found, doubt, displacement)
        low, high = centre - self.factor * error, centre + self.factor * error
        if self.form == "relative":
            return Interval(math.exp(centre) * error, math.exp(low), math.exp(high))
        if self.form == "signed":
            return Interval(error, max(0.0, low, -high), max(abs(low), abs(high)))
        return Interval(error, max(0.0, low), max(0.0, high))


@dataclass(frozen=True)
class Calibration:
    """The calibration of one network's weights.

    Attributes
    ----------
    sha256 : str
        Digest of the weights.
    made_by : str
        The command that made it.
    studies : str
        One sentence: what was measured.
    synthetic : bool
        Whether the studies were phantoms. Then it says nothing about images of people.
    level : float
        Share of truths that the intervals hold.
    spacing_mm : tuple of (float, float)
        For x, y and z, the smallest and the largest voxel spacing of the studies.
    options : mapping
        Options of the segmentation that change labels, as they were.
    phenotypes : mapping of str to Curve
    structures, sides : mapping of str to Curve
        Volume of each structure: both sides together, and one side.
    """

    sha256: str
    made_by: str
    studies: str
    synthetic: bool
    level: float
    spacing_mm: tuple[tuple[float, float], ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    phenotypes: Mapping[str, Curve] = field(default_factory=dict)
    structures: Mapping[str, Curve] = field(default_factory=dict)
    sides: Mapping[str, Curve] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """In JSON types. A curve is one line of text, because every report has about a hundred of them."""
        facts = {one.name: getattr(self, one.name) for one in fields(self)}
        facts |= {name: {key: curve.line() for key, curve in facts[name].items()} for name in _CURVES}
        return {"version": _VERSION, **facts, "spacing_mm": [list(pair) for pair in self.spacing_mm]}

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Calibration:
        """From `record`.

        Raises
        ------
        ValueError, KeyError, TypeError
            When it is not one.
        """
        facts = dict(record)
        if facts.pop("version") != _VERSION:
            raise ValueError("another version")
        facts |= {name: {key: Curve.of_line(line) for key, line in facts[name].items()} for name in _CURVES}
        pairs = tuple((float(low), float(high)) for low, high in facts.pop("spacing_mm"))
        if not 0 < facts["level"] < 1 or len(pairs) != 3:
            raise ValueError("a level or spacing that cannot be")
        return cls(spacing_mm=pairs, **facts)


def read_calibration(bundle: Path, sha256: str) -> Calibration | None:
    """The calibration of a bundle's weights; None if it has none, or one for other weights.

    Raises
    ------
    SegmentationError
        When the file is not a calibration.
    """
    path = bundle / CALIBRATION_FILE
    if not path.is_file():
        return None
    try:
        calibration = Calibration.of_record(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SegmentationError(
            f"bundle {bundle.name}, {CALIBRATION_FILE}",
            f"not readable ({type(error).__name__}: {error})",
            "the calibration of the bundle's weights",
            _REMEDY,
        ) from error
    return calibration if calibration.sha256 == sha256 else None
