"""AMRA's lean muscle volumes of the thigh (UK Biobank 22403 to 22406) as phenotypes.

They make P/A, thigh volume and asymmetry for people who have no images of their own. AMRA's groups are
wider than the paper's muscles: the anterior one is quadriceps, sartorius and tensor fasciae latae, the
posterior one hamstrings, adductors and gluteal muscles (Karlsson et al., J Magn Reson Imaging
2015;41:1558-1569). Its P/A ratio is therefore near 1.8, not 0.45, and the two are never mixed in one column.
"""

from __future__ import annotations

import pandas as pd

from analysis.errors import DataError
from analysis.validation import Checked

__all__ = ["AMRA", "AMRA_WARNING", "amra_phenotypes"]

AMRA = "amra"
"""Word that stands for these volumes where a table of phenotypes is expected."""

AMRA_WARNING = (
    "MRI phenotypes are AMRA's lean muscle volumes of the thighs (UK Biobank 22403 to 22406). Here, total muscle "
    "volume is that of both thighs, and P/A is the posterior over the anterior thigh, near 1.8."
)


def amra_phenotypes(participants: Checked, where: str) -> Checked:
    """Make a phenotypes table of the people with all four volumes.

    Raises
    ------
    DataError
        If nobody has them.
    """
    people = participants.table
    front, back = (
        (people[f"amra_{place}_left_l"], people[f"amra_{place}_right_l"]) for place in ("anterior", "posterior")
    )
    left, right = 1000 * (front[0] + back[0]), 1000 * (front[1] + back[1])
    made = pd.DataFrame(
        {
            "eid": people["eid"],
            "tmv_cm3": left + right,
            "pa_ratio": (back[0] + back[1]) / (front[0] + front[1]),
            "lr_asymmetry": (left - right).abs() / left.where(left > right, right),
            "thigh_left_cm3": left,
            "thigh_right_cm3": right,
            "model_name": "AMRA",
        }
    )
    made = made[made["pa_ratio"].notna()].reset_index(drop=True)
    if made.empty:
        raise DataError(
            where,
            "nobody with AMRA's four thigh volumes",
            "UK Biobank fields 22403, 22404, 22405 and 22406",
            "Add them to the table, or give phenotypes of your own (--phenotypes).",
        )
    return Checked(made, (), {}, tuple(made.columns))
