"""Options of the phantom's commands. Each is declared once, with its bounds.

This module does not import the anatomy, so that help and wrong values do not wait for it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

from cyclopts import Parameter

from operators.core.options.declaration import Flag, OptionError, check_choices

__all__ = [
    "COMPRESSED",
    "TMV_LIMITS_CM3",
    "TRAINING_SPACING_MM",
    "CohortOptions",
    "Composed",
    "ImagedCohortOptions",
    "PaintOptions",
    "FaultName",
    "StudyOptions",
    "TrainingSetOptions",
    "VendorName",
]

Sex = Literal["M", "F"]
Plane = Literal["axial", "coronal", "sagittal"]
Composed = Literal["only", "beside", "mpr"]
FaultName = Literal[
    "compressed",
    "duplicate-station",
    "frame-per-series",
    "ge-names",
    "intensity-scale",
    "jp2-header",
    "late-derived-images",
    "lower-legs",
    "missing-contrast",
    "missing-slice",
    "missing-station",
    "mixed-frame",
    "nan-spacing",
    "no-knees",
    "no-preamble",
    "odd-uid",
    "one-series",
    "padded-jpeg",
    "post-contrast",
    "second-patient",
    "shifted-station",
    "shuffled-slices",
    "size-mismatch",
    "swapped-station",
    "thin-station",
    "truncated-file",
    "two-acquisitions-in-series",
    "typed-values",
    "water-scale",
    "wrong-description",
    "zero-byte-file",
]
VendorName = Literal["siemens", "siemens-xa", "ge", "philips", "philips-enhanced", "canon", "composed"]
COMPRESSED: FaultName = "compressed"
"""Not a real fault: this name requests compressed pixel data."""

TRAINING_SPACING_MM = (3.5, 3.5, 6.5)
"""Spacing of the demo network, (x, y, z)."""

TMV_LIMITS_CM3 = (2500, 20000)
"""Total muscle volumes that a participant can be asked for, and that are drawn."""


@dataclass(frozen=True)
class Between:
    """Checks that a number is between ``low`` and ``high``, inclusive, and not NaN."""

    low: float
    high: float

    def __call__(self, _: Any, value: float | tuple[float, ...] | None) -> None:
        """Raise `ValueError` if a number is outside."""
        for number in value if isinstance(value, tuple) else () if value is None else (value,):
            if not self.low <= number <= self.high:
                raise ValueError(f"{number:g} is outside {self.low} to {self.high}")


def _within(low: float, high: float, metavar: str = "", **more: Any) -> Parameter:
    """A number within bounds. The help shows the bounds instead of a name for the value."""
    return Parameter(metavar=metavar or f"{low}-{high}", validator=Between(low, high), **more)


_Seed = Annotated[int, _within(0, 2**31, "N")]
_Folder = Annotated[Path, Parameter(metavar="DIR")]
_Spacing = Annotated[
    tuple[float, float, float],
    _within(1, 20, "X Y Z", name="--spacing", negative="", show_default=lambda mm: " ".join(f"{one:g}" for one in mm)),
]


@dataclass(frozen=True)
class StudyOptions:
    """Options for one synthetic participant's study. Fields that are None are drawn from the published cohort.

    Attributes
    ----------
    out : Path
        Folder to write into. It is created if missing.
    seed : int
        Decides everything that is not given; the same seed and options give the same study.
    sex : {"M", "F"} or None
        Sex. Default: drawn.
    age_years : float or None
        Age in years. Default: drawn.
    height_cm : float or None
        Standing height in cm. Default: drawn.
    bmi : float or None
        Body mass index in kg/m2. Default: drawn.
    tmv_cm3 : float or None
        Total muscle volume in cm3. Default: drawn.
    pa_ratio : float or None
        Volume of the hamstrings over that of the quadriceps. Default: drawn.
    stations : int
        6, 5 or 4: the lowest of the archive's six. 3, 2 or 1: as many large ones over pelvis to knee.
    orientation : {"axial", "coronal", "sagittal"}
        Plane in which the stations are acquired.
    composed : {"only", "beside", "mpr"} or None
        Write the volume that a scanner composes of the stations: instead of them (only), beside them, or reformatted
        in another plane instead of them (mpr).
    vendor : str or None
        Write the study as this vendor's scanners do, as public sources describe; `composed` is --composed only.
        Default: as the archive has it.
    faults : tuple of str
        Add a fault that occurs in real archives. Repeatable.
    zip_archive : bool
        Write one zip with a manifest, named as in the archive.
    compress : bool
        Compress pixel data with JPEG lossless, as in the archive.
    """

    out: _Folder
    seed: _Seed = 0
    sex: Sex | None = None
    age_years: Annotated[float | None, _within(18, 100, name="--age")] = None
    height_cm: Annotated[float | None, _within(130, 215)] = None
    bmi: Annotated[float | None, _within(14, 55)] = None
    tmv_cm3: Annotated[float | None, _within(*TMV_LIMITS_CM3)] = None
    pa_ratio: Annotated[float | None, _within(0.2, 0.9)] = None
    stations: Annotated[int, _within(1, 6)] = 6
    orientation: Plane = "axial"
    composed: Composed | None = None
    vendor: VendorName | None = None
    faults: Annotated[
        tuple[FaultName, ...], Parameter(name="--fault", metavar="NAME", negative="", show_default=False)
    ] = ()
    zip_archive: Annotated[bool, Flag, Parameter(name="--zip")] = False
    compress: Annotated[bool, Flag] = False

    def __post_init__(self) -> None:
        check_choices(self)
        _check_bounds(self)


@dataclass(frozen=True)
class TrainingSetOptions:
    """Options for many participants as coarse volumes, without DICOM.

    Attributes
    ----------
    out : Path
        Folder to write into. It is created if missing.
    n : int
        Number of participants.
    seed : int
        Seed of the first participant.
    spacing_mm : tuple of float, (x, y, z)
        Voxel size in mm; the default is the demo network's.
    varied : bool
        Let P/A ratio, asymmetry and single muscles vary far more than between people, so that a network has to find
        each border in the image instead of relying on its usual position.
    """

    out: _Folder
    n: Annotated[int, _within(1, 10**6)]
    seed: _Seed = 100000
    spacing_mm: _Spacing = TRAINING_SPACING_MM
    varied: Annotated[bool, Flag] = False

    def __post_init__(self) -> None:
        _check_bounds(self)


@dataclass(frozen=True)
class PaintOptions:
    """Options for images painted into a label map.

    Attributes
    ----------
    labels : Path
        Label map to paint: NIfTI or NRRD, made by hand, from CT, by another tool or by us.
    out : Path
        Folder to write into. It is created if missing.
    scheme : str
        What the numbers in the map mean: ours, or another label scheme or YAML file as in `sarcomap run --scheme`.
    outline : Path or None
        Mask of the whole body, on any grid. Default: a layer of fat and skin around the labels.
    n : int or None
        Write this many training pairs, each painted differently, instead of one DICOM study. Pairs of several maps can
        lie in one folder.
    seed : int
        Decides the tissue and the scan; with --n, of the first pair.
    spacing_mm : tuple of float, (x, y, z)
        With --n: voxel size in mm; the default is the demo network's.
    water_alone : bool
        With --n: fat of every other pair is computed from its water, as for a study of water alone.
    """

    labels: Annotated[Path, Parameter(metavar="FILE")]
    out: _Folder
    scheme: Annotated[str, Parameter(metavar="NAME")] = "ours"
    outline: Annotated[Path | None, Parameter(metavar="FILE")] = None
    n: Annotated[int | None, _within(1, 10**5)] = None
    seed: _Seed = 0
    spacing_mm: _Spacing = TRAINING_SPACING_MM
    water_alone: Annotated[bool, Flag] = False

    def __post_init__(self) -> None:
        _check_bounds(self)
        if self.water_alone and self.n is None:
            raise OptionError("water_alone", "given without --n", "--n N as well", "A DICOM study has all contrasts.")


@dataclass(frozen=True)
class CohortOptions:
    """Options for a cohort's tables, without images.

    Attributes
    ----------
    out : Path
        Folder to write into. It is created if missing.
    n : int
        Number of eligible participants.
    seed : int
        Determines all participants.
    ineligible : float
        Additional people whom the analysis must exclude, as a share of n.
    pa_tmv_correlation : float or None
        Correlation of P/A with total muscle volume within a sex. P/A then has no effect of its own, and volume has:
        confounding by mass. Default: independent of volume, with the published effects.
    """

    out: _Folder
    n: Annotated[int, _within(3, 5_000_000)]
    seed: _Seed = 0
    ineligible: Annotated[float, _within(0, 1)] = 0.08
    pa_tmv_correlation: Annotated[float | None, _within(-0.95, 0.95)] = None

    def __post_init__(self) -> None:
        _check_bounds(self)


@dataclass(frozen=True)
class ImagedCohortOptions:
    """Options for a cohort with images.

    Attributes
    ----------
    out : Path
        Folder to write into. It is created if missing.
    n : int
        Number of participants.
    seed : int
        Determines all participants.
    stations : int
        Number of stations; the lowest of the six are used.
    small : bool
        For tests: pixels of twice the size, from a coarser body. Takes a fifth of the time.
    compress : bool
        Compress pixel data with JPEG lossless, as in the archive.
    """

    out: _Folder
    n: Annotated[int, _within(1, 10**5)]
    seed: _Seed = 0
    stations: Annotated[int, _within(1, 6)] = 6
    small: Annotated[bool, Flag] = False
    compress: Annotated[bool, Flag] = False

    def __post_init__(self) -> None:
        _check_bounds(self)


def _check_bounds(options: Any) -> None:
    """Raise `OptionError` if a number is outside its field's bounds."""
    hints = get_type_hints(type(options), include_extras=True)
    for field in fields(options):
        for note in get_args(hints[field.name]):
            checks: Any = note.validator if isinstance(note, Parameter) else ()
            for check in checks:
                try:
                    check(None, getattr(options, field.name))
                except ValueError as error:
                    raise OptionError(
                        field.name, str(error), "a number within these bounds", "Give another one."
                    ) from None
