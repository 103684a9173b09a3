"""What is measured of one study: structures, phenotypes, and why something is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from operators.core.anatomy import Structure
from operators.core.volume import QualityFlag
from operators.phenotype_report.sides import MidSurface

__all__ = ["Measurements", "Phenotypes", "StructureMeasure"]


@dataclass(frozen=True)
class StructureMeasure:
    """What was measured of one structure; None where it is absent or withheld.

    Attributes
    ----------
    structure : Structure
    volume_cm3, left_cm3, right_cm3 : float or None
        None, never 0, when no voxel bears the label (on that side).
    fat_fraction_mean : float or None
        Mean over its voxels, 0 to 1.
    cut_by_field_of_view : bool
        It reaches the first or last slice, or the edge of a label map that
        covers a part of the body, so that its volume is a lower bound.
    confidence_mean : float or None
        Mean over its voxels of the probability that the network gave its
        label; None where that is not known.
    """

    structure: Structure
    volume_cm3: float | None = None
    left_cm3: float | None = None
    right_cm3: float | None = None
    fat_fraction_mean: float | None = None
    cut_by_field_of_view: bool = False
    confidence_mean: float | None = None


@dataclass(frozen=True)
class Phenotypes:
    """The phenotypes of one study; None where one cannot be given.

    Attributes
    ----------
    tmv_cm3, tmv_left_cm3, tmv_right_cm3 : float or None
        Total muscle volume: the 25 muscles (method, section 8.4).
    tvi_cm3_per_cm2 : float or None
        TMV over squared height (method, section 8.2).
    pa_ratio, pa_ratio_left, pa_ratio_right : float or None
        Hamstrings over quadriceps (method, section 8.3).
    lr_asymmetry : float or None
        abs(left - right) / larger of the thigh muscle volume (anterior,
        medial and posterior compartments), the counterpart on MRI of the
        paper's DEXA leg lean mass.
    thigh_left_cm3, thigh_right_cm3 : float or None
        What ``lr_asymmetry`` compares.
    quadriceps_cm3, hamstrings_cm3 : float or None
    anterior_cm3 ... bone_cm3 : float or None
        The compartments (method, section 4).
    muscle_fat_fraction : float or None
        Mean over all voxels labelled muscle, 0 to 1.
    """

    tmv_cm3: float | None = None
    tmv_left_cm3: float | None = None
    tmv_right_cm3: float | None = None
    tvi_cm3_per_cm2: float | None = None
    pa_ratio: float | None = None
    pa_ratio_left: float | None = None
    pa_ratio_right: float | None = None
    lr_asymmetry: float | None = None
    thigh_left_cm3: float | None = None
    thigh_right_cm3: float | None = None
    quadriceps_cm3: float | None = None
    hamstrings_cm3: float | None = None
    anterior_cm3: float | None = None
    gluteal_cm3: float | None = None
    medial_cm3: float | None = None
    posterior_cm3: float | None = None
    core_cm3: float | None = None
    bone_cm3: float | None = None
    muscle_fat_fraction: float | None = None


@dataclass(frozen=True)
class Measurements:
    """All that the report says about the body.

    Attributes
    ----------
    structures : tuple of StructureMeasure
        The 27 structures in the order of the label table.
    phenotypes : Phenotypes
    not_given : mapping of str to str
        Why each phenotype that is None is None.
    flags : tuple of QualityFlag
        What was noticed while measuring; the study's and the fusion's own
        flags are not repeated.
    withheld : str or None
        Why nothing at all is given, when so.
    mid_surface : MidSurface or None
        Where left ends and right begins.
    engine : str
        What ran the network; empty when that is not known.
    """

    structures: tuple[StructureMeasure, ...]
    phenotypes: Phenotypes
    not_given: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[QualityFlag, ...] = ()
    withheld: str | None = None
    mid_surface: MidSurface | None = None
    engine: str = ""
