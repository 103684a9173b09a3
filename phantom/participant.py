"""A synthetic participant: the few numbers that determine an anatomy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from phantom.options import TMV_LIMITS_CM3

__all__ = ["VOLUME_RATIO", "Participant", "Sex", "draw_participant"]

Sex = Literal["M", "F"]

# Mean and SD by sex (method, section 1; Kim et al. 2026, UK Biobank imaging visit).
_AGE_YEARS = {"M": (65.2, 7.9), "F": (63.9, 7.7)}
_HEIGHT_CM = {"M": (176.0, 6.7), "F": (162.7, 6.3)}
_BMI = {"M": (27.0, 3.9), "F": (26.1, 4.8)}
_TMV_CM3 = {"M": (11166.4, 1689.8), "F": (7586.2, 1076.1)}
VOLUME_RATIO = 1.18
"""Muscle volume of a body over that of the published cohort.

Thighs alone have 13.3 to 11.2 L in men and 8.8 to 7.6 L in women in another study of the same archive (Anderson et al.
2024, doi 10.1007/s11357-024-01304-y), and a body with the outline of people's and the published volumes would have thin
muscles in thick fat. This ratio lies between both sources: 1.2 SD above the first, one SD below the second.
"""

_PA_RATIO = {"M": (0.45, 0.05), "F": (0.44, 0.06)}


@dataclass(frozen=True)
class Participant:
    """The parameters of one synthetic body.

    Attributes
    ----------
    seed : int
        Determines everything that the other parameters leave open.
    sex : {"M", "F"}
    age_years, height_cm, bmi : float
    tmv_cm3 : float
        Target for the total volume of all muscles, both sides.
    pa_ratio : float
        Target for hamstrings over quadriceps.
    lr_asymmetry : float
        Target for (left - right) / larger of the leg muscles; negative if
        the right leg is larger.
    muscle_fat_fraction : float
        Mean fat fraction inside muscle.
    muscle_spread : float
        Variation of single muscles around their usual share, SD of the logarithm.
    """

    seed: int
    sex: Sex
    age_years: float
    height_cm: float
    bmi: float
    tmv_cm3: float
    pa_ratio: float
    lr_asymmetry: float
    muscle_fat_fraction: float
    muscle_spread: float = 0.08

    @property
    def weight_kg(self) -> float:
        """Weight from BMI and height."""
        return self.bmi * (self.height_cm / 100.0) ** 2


def draw_participant(
    seed: int,
    *,
    sex: Sex | None = None,
    age_years: float | None = None,
    height_cm: float | None = None,
    bmi: float | None = None,
    tmv_cm3: float | None = None,
    pa_ratio: float | None = None,
    lr_asymmetry: float | None = None,
    muscle_fat_fraction: float | None = None,
    muscle_spread: float = 0.08,
) -> Participant:
    """Draw a participant's missing parameters from the published cohort (method, section 1; volumes: `VOLUME_RATIO`).

    Each parameter has its own draw, so that giving one does not change the others
    for the same seed. Each draw is limited to 2.2 SD, because extremes would tear the
    anatomy, which is a deformed reference body. Muscle volume can be further from its mean,
    because it depends on the height and the age as well; it stays within `TMV_LIMITS_CM3`.
    """
    draws = np.clip(np.random.default_rng([seed, 1]).standard_normal(8), -2.2, 2.2)
    chosen_sex: Sex = sex if sex is not None else ("M" if draws[0] < 0 else "F")

    def normal(table: dict[str, tuple[float, float]], draw: float) -> float:
        mean, sd = table[chosen_sex]
        return float(mean + sd * draw)

    age = age_years if age_years is not None else normal(_AGE_YEARS, draws[1])
    height = height_cm if height_cm is not None else normal(_HEIGHT_CM, draws[2])
    body_mass_index = bmi if bmi is not None else max(18.0, normal(_BMI, draws[3]))
    if tmv_cm3 is None:
        # Taller and younger bodies have more muscle; the rest is individual.
        height_z = (height - _HEIGHT_CM[chosen_sex][0]) / _HEIGHT_CM[chosen_sex][1]
        age_z = (age - _AGE_YEARS[chosen_sex][0]) / _AGE_YEARS[chosen_sex][1]
        tmv_cm3 = VOLUME_RATIO * normal(_TMV_CM3, 0.55 * height_z - 0.35 * age_z + 0.75 * draws[4])
        tmv_cm3 = float(np.clip(tmv_cm3, *TMV_LIMITS_CM3))
    if pa_ratio is None:
        pa_ratio = normal(_PA_RATIO, draws[5])
    if lr_asymmetry is None:
        # A median of 0.03 between the legs (method, sections 7 and 8.12).
        lr_asymmetry = float(0.044 * draws[6])
    if muscle_fat_fraction is None:
        muscle_fat_fraction = float(
            np.clip(0.075 + 0.0012 * (age - 60) + 0.003 * (body_mass_index - 25) + 0.015 * draws[7], 0.03, 0.25)
        )
    return Participant(
        seed=seed,
        sex=chosen_sex,
        age_years=float(age),
        height_cm=float(height),
        bmi=float(body_mass_index),
        tmv_cm3=float(tmv_cm3),
        pa_ratio=float(pa_ratio),
        lr_asymmetry=float(lr_asymmetry),
        muscle_fat_fraction=muscle_fat_fraction,
        muscle_spread=muscle_spread,
    )
