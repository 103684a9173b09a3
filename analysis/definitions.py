"""Exposures, outcomes, covariates and the cut-offs of sarcopenia.

This module imports no library, because command lines show these names before any table is read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "AWGS2019",
    "BY_AGE",
    "COMPUTED",
    "COVARIATES",
    "CUT_OFFS",
    "EWGSOP2",
    "EXPOSURES",
    "OUTCOMES",
    "CutOffs",
    "fat_measure",
    "label_of",
]


@dataclass(frozen=True)
class CutOffs:
    """Cut-offs for low strength and low muscle mass.

    Attributes
    ----------
    name : str
    grip_men_kg, grip_women_kg : float
        Grip strength below this is low.
    almi_men, almi_women : float
        Appendicular lean mass over squared height below this is low, kg/m2.
    source : str
    """

    name: str
    grip_men_kg: float
    grip_women_kg: float
    almi_men: float
    almi_women: float
    source: str = "given by the user"

    def __post_init__(self) -> None:
        values = (self.grip_men_kg, self.grip_women_kg, self.almi_men, self.almi_women)
        if not all(math.isfinite(value) and value > 0 for value in values):
            raise UsageError(f"cut-offs {self.name}", f"{values}", "four positive numbers", "Correct them.")


EWGSOP2 = CutOffs("EWGSOP2", 27, 16, 7.0, 5.5, "Cruz-Jentoft et al., Age Ageing 2019;48:16-31")
AWGS2019 = CutOffs("AWGS2019", 28, 18, 7.0, 5.4, "Chen et al., J Am Med Dir Assoc 2020;21:300-307 (DXA)")
CUT_OFFS = {cut_offs.name: cut_offs for cut_offs in (EWGSOP2, AWGS2019)}

# Column, and its label in tables and figures.
EXPOSURES = {
    "pa_ratio": "P/A ratio (MRI)",
    "lr_asymmetry_dexa": "L/R asymmetry (DXA)",
    "lr_asymmetry_mri": "L/R asymmetry (MRI)",
}
# Measures that are shown by age group.
BY_AGE = ("almi", "tmv_cm3", "tvi_cm3_per_cm2", "grip_kg", "pa_ratio", "lr_asymmetry_dexa")
# Name, and its label in tables and figures, in the paper's order.
OUTCOMES = {
    "low_muscle_mass": "Low muscle mass",
    "weak_grip": "Weak grip",
    "sarcopenia": "Confirmed sarcopenia",
    "mortality": "Death from any cause",
    "falls": "Falls in the last year",
}
# Columns that are computed from measurements, whatever columns of these names a participants' table has.
COMPUTED = (
    *OUTCOMES, "probable_sarcopenia", "sarcopenia_status", "grip_kg", "leg_lean_kg", "alm_kg", "almi",
    "tvi_cm3_per_cm2", "specific_strength_kg_per_l", "thigh_strength_kg_per_l", "lr_asymmetry_dexa",
    "lr_asymmetry_mri", "amra_thigh_cm3", "amra_pa_ratio", "amra_asymmetry", "low_specific_strength",
    "muscle_volume_z", "muscle_composition", "adverse_muscle_composition",
)  # fmt: skip
# The paper's adjustment set: name on the command line, and column.
COVARIATES = ("age", "sex", "bmi", "activity")
# Labels of further columns that can be an exposure, an outcome or a covariate.
_LABELS = {
    "tmv_cm3": "Total muscle volume (MRI)",
    "tvi_cm3_per_cm2": "Total volume index (MRI)",
    "almi": "ALMI (DXA)",
    "grip_kg": "Grip strength",
    "leg_lean_kg": "Leg lean mass (DXA)",
    "muscle_dixon_fat_core": "Fat in the core of muscles (MRI)",
    "muscle_fat_fraction": "Muscle fat fraction (MRI)",
    "specific_strength_kg_per_l": "Grip per muscle volume",
    "thigh_strength_kg_per_l": "Grip per thigh muscle volume",
    "probable_sarcopenia": "Probable sarcopenia",
    "low_specific_strength": "Low grip per muscle volume",
    "adverse_muscle_composition": "Adverse muscle composition",
    "amra_pa_ratio": "P/A volume ratio (AMRA)",
    "amra_thigh_cm3": "Thigh muscle volume (AMRA)",
    "amra_asymmetry": "L/R asymmetry (AMRA)",
    "fall_date": "First fall",
    "fracture_date": "First fracture",
    "age": "Age",
    "sex": "Sex",
    "bmi": "BMI",
    "activity": "Physical activity",
}


def fat_measure(table: pd.DataFrame) -> str:
    """The measure of muscle fat that a table has: the core fraction (docs/fat.md), or the mean of the whole label.

    The mean counts the fat between muscles as fat in them, and orders people less truly.
    """
    core = "muscle_dixon_fat_core"
    return core if core in table and table[core].notna().any() else "muscle_fat_fraction"


def label_of(name: str) -> str:
    """Label of a column in tables and figures: `pa_ratio` is "P/A ratio (MRI)"."""
    known = EXPOSURES | OUTCOMES | _LABELS
    if name in known:
        return known[name]
    words = name.replace("_cm3", " volume").replace("_kg", ", kg").replace("_", " ").strip()
    return words[:1].upper() + words[1:]
