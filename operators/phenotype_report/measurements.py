"""The measurements of one study: structures, phenotypes, and the reasons for missing values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from operators.core.anatomy import Structure
from operators.core.calibration import Interval
from operators.core.errors import InternalError
from operators.core.label_map import LABELLING_FLAGS
from operators.core.phenotypes import PHENOTYPES, MuscleFat, Side
from operators.core.volume import QualityFlag
from operators.phenotype_report.mid_surface import MidSurface
from operators.phenotype_report.signal_noise import Noise
from operators.phenotype_report.thigh_profiles import Profile

__all__ = ["MEASURING_FLAGS", "Measurements", "Phenotypes", "StructureMeasure", "Uncertainty"]

MEASURING_FLAGS = frozenset(
    {
        "absent-structures",
        "implausible-volume",
        "low-confidence",
        "low-signal-to-noise",
        "merged-structures",
        "one-sided-structures",
        "sides-of-labels",
        "sides-undetermined",
        "structures-cut-at-side",
        "thighs-cut-below",
        "uneven-legs",
    }
)
"""Codes of the flags that measuring raises. When a study is measured again, they are dropped and raised again, so every
such code must be listed here; see also `operators.core.label_map.LABELLING_FLAGS`."""


@dataclass(frozen=True)
class StructureMeasure:
    """The measurements of one structure; None if it is absent or withheld.

    Attributes
    ----------
    structure : Structure
    volume_cm3, left_cm3, right_cm3 : float or None
        None, never 0, when no voxel has the label (on that side).
    fat_fraction_mean : float or None
        Mean over its voxels, 0 to 1.
    fat : tuple of MuscleFat or None
        Fat of a muscle on the left and the right, or all in the first entry if
        the sides are not known; None for a bone, or if fat was not measured.
    cut_by_field_of_view : bool
        Whether it reaches the first or last slice, the lateral edge of the
        images, or the edge of a label map that covers only a part of the body,
        so that its volume is a lower bound.
    confidence_mean, confidence_low : float or None
        Mean and fifth percentile over its voxels of the probability that the
        network gave its label; None if that is not known.
    volume_se_cm3, left_se_cm3, right_se_cm3 : float or None
        Standard errors of the volumes; None where they are not calibrated.
    """

    structure: Structure
    volume_cm3: float | None = None
    left_cm3: float | None = None
    right_cm3: float | None = None
    fat_fraction_mean: float | None = None
    fat: tuple[MuscleFat, MuscleFat] | None = None
    cut_by_field_of_view: bool = False
    confidence_mean: float | None = None
    confidence_low: float | None = None
    volume_se_cm3: float | None = None
    left_se_cm3: float | None = None
    right_se_cm3: float | None = None


@dataclass(frozen=True)
class Uncertainty:
    """Intervals of the phenotypes.

    Attributes
    ----------
    intervals : mapping of str to Interval
        By the phenotype's key.
    not_given : mapping of str to str
        Why a phenotype that has a value has no interval.
    reason : str or None
        Why nothing has an interval.
    level : float or None
        Share of truths that the intervals hold; None without intervals.
    """

    intervals: Mapping[str, Interval] = field(default_factory=dict)
    not_given: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = "The errors were not looked at."
    level: float | None = None

    def error(self, key: str) -> float | None:
        """Standard error of a phenotype; None if it is not known."""
        interval = self.intervals.get(key)
        return None if interval is None else interval.standard_error


class Phenotypes(Mapping[str, float | None]):
    """The phenotypes of one study, by key or as attributes; None for a missing value.

    The keys are those of the registry (`operators.core.phenotypes`), which
    defines each phenotype.

    Parameters
    ----------
    values : mapping of str to float or None
        Missing keys become None.

    Raises
    ------
    InternalError
        When a key is not in the registry.

    Examples
    --------
    >>> given = Phenotypes({"pa_ratio": 0.45})
    >>> given.pa_ratio, given["tmv_cm3"]
    (0.45, None)
    """

    _values: Mapping[str, float | None]

    def __init__(self, values: Mapping[str, float | None] = MappingProxyType({})) -> None:
        if unknown := sorted(set(values) - set(PHENOTYPES)):
            raise InternalError("phenotypes", f"key {unknown[0]!r}", "keys of the registry")
        object.__setattr__(self, "_values", MappingProxyType({key: values.get(key) for key in PHENOTYPES}))

    def __getitem__(self, key: str) -> float | None:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __getattr__(self, name: str) -> float | None:
        # Private names are refused first, because copying and unpickling look them up before there are values.
        if name.startswith("_") or name not in self._values:
            raise AttributeError(f"no phenotype {name!r}")
        return self._values[name]

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("phenotypes cannot be changed")

    def __reduce__(self) -> tuple[type[Phenotypes], tuple[dict[str, float | None]]]:
        return type(self), (dict(self._values),)

    def __repr__(self) -> str:
        return f"Phenotypes({', '.join(f'{key}={value!r}' for key, value in self._values.items())})"


@dataclass(frozen=True)
class Measurements:
    """Everything that the report says about the body.

    Attributes
    ----------
    structures : tuple of StructureMeasure
        All muscles and bones, in the order of the label table.
    phenotypes : Phenotypes
    not_given : mapping of str to str
        For each phenotype that is None, why.
    flags : tuple of QualityFlag
        Flags of labelling and measuring, without those of loading and fusion.
    withheld : str or None
        Why all values are withheld; None if they are not.
    mid_surface : MidSurface or None
        The surface between left and right.
    noise : Noise
        Of the fused images.
    z_ranges_mm : mapping of str to tuple of float
        LPS z range of each structure and group that is labelled.
    engine : str
        Backend, device and precision of the network; empty when not known.

    profiles : mapping of str to Profile
        Areas of muscle along the left and the right femur.
    uncertainty : Uncertainty
        Added by `operators.phenotype_report.uncertainty.with_intervals`.

    Raises
    ------
    InternalError
        For a flag whose code is declared neither for labelling nor for measuring.
    """

    structures: tuple[StructureMeasure, ...]
    phenotypes: Phenotypes
    not_given: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[QualityFlag, ...] = ()
    withheld: str | None = None
    mid_surface: MidSurface | None = None
    noise: Noise = field(default_factory=Noise)
    z_ranges_mm: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    engine: str = ""
    profiles: Mapping[Side, Profile] = field(default_factory=dict)
    uncertainty: Uncertainty = field(default_factory=Uncertainty)

    def __post_init__(self) -> None:
        if undeclared := {flag.code for flag in self.flags} - MEASURING_FLAGS - LABELLING_FLAGS:
            raise InternalError("measurements", f"flags {', '.join(sorted(undeclared))}", "codes of MEASURING_FLAGS")
