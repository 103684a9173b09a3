"""Small tables of participants and phenotypes, without any effect."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.fields import read_fields
from analysis.validation import Checked, check_participants


def people(n: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "eid": [f"{1000 + i}" for i in range(n)],
            "sex": np.where(np.arange(n) % 2, "M", "F"),
            "age": rng.integers(50, 80, n),
            "height_cm": rng.normal(170, 8, n).round(1),
            "weight_kg": rng.normal(75, 10, n).round(1),
            "bmi": np.nan,
            "grip_left_kg": rng.normal(30, 5, n).round(),
            "grip_right_kg": rng.normal(31, 5, n).round(),
            "arm_lean_left_kg": rng.normal(2.8, 0.3, n),
            "arm_lean_right_kg": rng.normal(2.9, 0.3, n),
            "leg_lean_left_kg": rng.normal(8.5, 1, n),
            "leg_lean_right_kg": rng.normal(8.6, 1, n),
            "activity": rng.choice(["low", "moderate", "high"], n),
            "died": rng.integers(0, 2, n),
            "falls_last_year": rng.integers(1, 4, n),
        }
    )


def images(n: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    return pd.DataFrame(
        {
            "eid": [f"{1000 + i}" for i in range(n)],
            "tmv_cm3": rng.normal(9000, 1500, n),
            "pa_ratio": rng.normal(0.45, 0.05, n),
            "lr_asymmetry": np.abs(rng.normal(0, 0.04, n)),
        }
    )


def checked(people: pd.DataFrame) -> Checked:
    return check_participants(people, read_fields(), "participants.csv")
