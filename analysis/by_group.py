"""Characteristics by third of an exposure and by sarcopenia, with missing counts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.describe import MEASURES
from analysis.thirds import tertiles

__all__ = ["table_by_group"]

# A measure with a larger skewness is shown as median and quartiles.
_SKEWED = 1.0
_STATUS = {"none": "no sarcopenia", "probable": "probable sarcopenia", "confirmed": "confirmed sarcopenia"}
_THIRDS = {0: "lowest third", 1: "middle third", 2: "highest third"}


def table_by_group(
    table: pd.DataFrame, exposure: str = "pa_ratio", cuts: tuple[float, float] | None = None
) -> pd.DataFrame:
    """Describe the groups; those of the exposure by exact thirds, or by ``cuts``.

    Returns
    -------
    DataFrame
        ``by, group, people, variable, label, statistic, first, second, third,
        n, missing``. ``statistic`` is "mean, sd", "median, quartiles" (all groups
        of a measure whose skewness in everybody is above 1) or "n, percent".
    """
    thirds = pd.Series(tertiles(table[exposure].to_numpy(dtype=float), cuts).group, index=table.index)
    groups = [("third of " + exposure, label, table[thirds == code]) for code, label in _THIRDS.items()]
    groups += [("sarcopenia", label, table[(table["sarcopenia_status"] == status).fillna(False)])
               for status, label in _STATUS.items()]  # fmt: skip
    skewed = {name for name in MEASURES if abs(float(table[name].astype(float).skew())) > _SKEWED}
    rows = []
    for by, label, part in groups:
        about = {"by": by, "group": label, "people": len(part)}
        for name, (title, _) in MEASURES.items():
            values = part[name].dropna().astype(float)
            if name in skewed:
                low, middle, high = values.quantile([0.25, 0.5, 0.75]) if len(values) else (np.nan,) * 3
                numbers = {"statistic": "median, quartiles", "first": middle, "second": low, "third": high}
            else:
                numbers = {"statistic": "mean, sd", "first": values.mean(), "second": values.std(), "third": np.nan}
            rows.append(about | {"variable": name, "label": title} | numbers
                        | {"n": len(values), "missing": len(part) - len(values)})  # fmt: skip
        for level, title, who in (("F", "Women", part["sex"] == "F"),
                                  ("high", "Activity high", part["activity"] == "high")):  # fmt: skip
            known = part["sex" if level == "F" else "activity"].notna()
            count, n = int((who & known).sum()), int(known.sum())
            rows.append(about | {"variable": level, "label": title, "statistic": "n, percent", "first": count,
                                 "second": 100 * count / n if n else np.nan, "third": np.nan, "n": n,
                                 "missing": len(part) - n})  # fmt: skip
    return pd.DataFrame(rows)
