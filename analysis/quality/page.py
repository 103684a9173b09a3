"""The page of a cohort's quality: every study with its picture, the distributions, and what is unusual."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections import Counter
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from analysis.collect import Collected
from analysis.page_templates import page_environment
from analysis.quality.outliers import LIMIT, LIMIT_OF_SIDES, Extremes, find_extremes
from analysis.tables import write_text

__all__ = ["quality_page"]

_THUMBNAILS = ("thumbnail.jpg", "thumbnail.png", "thumbnail.webp")
_REASONS_SHOWN = 12


def quality_page(
    collected: Collected,
    folder: Path,
    page: Path,
    sex: pd.Series | None = None,
    failures: pd.DataFrame | None = None,
) -> Extremes:
    """Write the page. It shows the pictures in the studies' folders, so it stays beside them.

    Parameters
    ----------
    collected : Collected
    folder : Path
        The folder that was collected.
    page : Path
        File to write.
    sex : Series, optional
        ``M``, ``F`` or missing, with the index of ``collected.table``.
    failures : DataFrame, optional
        A cohort run's ``failures.csv``: ``outcome``, ``found``.

    Raises
    ------
    OutputError
        If the page cannot be written.
    """
    extremes = find_extremes(collected.table, sex)
    table = collected.table
    text = (
        page_environment()
        .get_template("quality_page.html.j2")
        .render(
            # Read as it is: braces have a meaning of their own in a template.
            script=resources.files("analysis").joinpath("templates/quality_page.js").read_text("utf-8"),
            data=_as_script(_data(collected, folder, page, sex, extremes)),
            studies=len(table),
            flagged=int((table["quality_flags"] != "").sum()),
            outliers=int(extremes.outlier.sum()),
            withheld=int((table["withheld"] != "").sum()),
            within_sex=extremes.within_sex,
            limit=LIMIT,
            limit_of_sides=LIMIT_OF_SIDES,
            banners=_banners(table),
            left_out=len(collected.left_out),
            failures=_failures(failures),
            not_processed=0 if failures is None else len(failures),
        )
    )
    write_text(text, page)
    return extremes


def _data(collected: Collected, folder: Path, page: Path, sex: pd.Series | None, extremes: Extremes) -> dict[str, Any]:
    """Everything that the page's script needs, as columns; rows follow the table."""
    table, count = collected.table, len(collected.table)
    base = quote(os.path.relpath(folder.resolve(), page.resolve().parent))
    codes = sorted({code for codes in table["quality_flags"] for code in codes.split(";") if code})
    number = {code: position for position, code in enumerate(codes)}
    files = [_files(folder / below) for below in collected.folders]
    return {
        "key": hashlib.sha256("\n".join(sorted(table["eid"])).encode()).hexdigest()[:16],
        "limit": LIMIT,
        "limit_of_sides": LIMIT_OF_SIDES,
        "base": "" if base == "." else base + "/",
        "codes": codes,
        "phenotypes": [
            {
                "key": name,
                "title": collected.phenotypes[name]["title"],
                "unit": _symbol(collected.phenotypes[name].get("x-unit", "")),
                "percent": name.endswith("_fraction"),
                "values": _plain(table[name]),
                "z": _plain(extremes.z[name], 2),
            }
            for name in extremes.z.columns
        ],
        "eid": table["eid"].tolist(),
        "visit": table["visit"].fillna("").tolist(),
        "sex": ["" for _ in range(count)] if sex is None else sex.fillna("").tolist(),
        "folder": list(collected.folders),
        "thumbnail": [thumbnail for thumbnail, _ in files],
        "report": [report for _, report in files],
        "flags": [[number[code] for code in codes.split(";") if code] for codes in table["quality_flags"]],
        "withheld": table["withheld"].tolist(),
        "seam": _plain(table["seam_visibility_max"], 3),
        "seam_z": _plain(extremes.seam_z, 2),
        "side": extremes.sides["structure"].fillna("").str.replace("_", " ").tolist(),
        "side_ratio": _plain(extremes.sides["ratio"], 3),
        "side_z": _plain(extremes.sides["z"], 2),
    }


def _files(study: Path) -> tuple[str, str]:
    """Names of the thumbnail and of the page of a study; empty if it has none."""
    try:
        names = set(os.listdir(study))
    except OSError:
        names = set()
    thumbnail = next((name for name in _THUMBNAILS if name in names), "")
    return thumbnail, "report.html" if "report.html" in names else ""


def _plain(values: pd.Series, decimals: int | None = None) -> list[float | None]:
    """Numbers for JSON, rounded to save space."""
    numbers = values.to_numpy(dtype=np.float64)
    if decimals is None:
        return [None if not math.isfinite(value) else float(f"{value:.5g}") for value in numbers]
    return [None if not math.isfinite(value) else round(float(value), decimals) for value in numbers]


def _symbol(unit: str) -> str:
    return {"cm3": "cm³", "cm3/cm2": "cm³/cm²", "1": ""}.get(unit, "" if unit in ("ratio", "fraction") else unit)


def _as_script(data: Mapping[str, Any]) -> str:
    """JSON that cannot end the script element that holds it."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _banners(table: pd.DataFrame) -> list[str]:
    made = table[table["model_trained_on_synthetic"] == 1]
    return [
        f"{name} {version} ({len(part)} of {len(table)} studies). {data} {use}"
        for (name, version, data, use), part in made.groupby(
            ["model_name", "model_version", "model_training_data", "model_intended_use"], sort=True
        )
    ]


def _failures(failures: pd.DataFrame | None) -> list[tuple[str, str, int]]:
    """Outcome and reason of studies without a report, the most frequent first."""
    if failures is None or failures.empty:
        return []
    pairs = Counter(zip(failures["outcome"].fillna(""), failures["found"].fillna(""), strict=True))
    return [(outcome, reason, count) for (outcome, reason), count in pairs.most_common(_REASONS_SHOWN)]
