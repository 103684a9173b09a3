"""Make a synthetic cohort with images: a zip for each participant, and the table of participants."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from operators.core.output_files import replacing
from phantom.archive import zip_name
from phantom.participant import VOLUME_RATIO, Participant, draw_participant
from phantom.station_geometry import archive_stations, coarser
from phantom.study import eid_of, write_study
from phantom.table import CohortTable, draw_cohort

__all__ = ["WrittenCohort", "draw_imaged_cohort", "write_imaged_cohort"]

# Extremes would tear the anatomy, which is a deformed reference body; see `draw_participant`.
_LIMIT_SD = 2.2
_LIMITED = ("height_cm", "bmi", "tmv_cm3", "pa_ratio")
_SMALL_TISSUE_MM = (4.0, 4.0, 4.0)
_USUAL_TISSUE_MM = (2.0, 2.0, 2.0)


@dataclass(frozen=True)
class WrittenCohort:
    """The files of a cohort.

    Attributes
    ----------
    zips : Path
        Folder with one zip for each participant.
    participants : Path
        For `sarcomap analysis run`.
    truth : Path
        ``truth.csv``: the exact volumes of each body, as far as the scan shows it.
    effects : Path
        ``truth.json``: the odds ratios from which the outcomes were drawn.
    """

    zips: Path
    participants: Path
    truth: Path
    effects: Path


def draw_imaged_cohort(n: int, seed: int = 0) -> tuple[CohortTable, tuple[Participant, ...]]:
    """Draw the tables of a cohort, and a body for each participant in the order of the rows.

    The outcomes are drawn as in `draw_cohort`, from the P/A ratio that the body
    then has. Muscles are larger than the table's, by `phantom.participant.VOLUME_RATIO`.
    People whose height, BMI, muscle volume or P/A ratio is more than 2.2 SD from the
    mean of their sex are not taken.

    Parameters
    ----------
    n : int
    seed : int
        Determines everyone. Participant i has the eid of the seed ``seed + i``.
    """
    drawn = draw_cohort(2 * n + 40, seed, ineligible=0.0)
    people = drawn.participants.merge(drawn.phenotypes[["eid", "tmv_cm3", "pa_ratio"]], on="eid")
    z = people.groupby("sex")[list(_LIMITED)].transform(lambda values: (values - values.mean()) / values.std())
    rows = people[(z.abs() < _LIMIT_SD).all(axis=1)].head(n).reset_index(drop=True)
    bodies = tuple(
        draw_participant(
            seed + number,
            sex=row.sex,
            age_years=row.age,
            height_cm=row.height_cm,
            bmi=row.bmi,
            tmv_cm3=row.tmv_cm3 * VOLUME_RATIO,
            pa_ratio=row.pa_ratio,
        )
        for number, row in enumerate(rows.itertuples())
    )
    taken = drawn.participants.set_index("eid").loc[rows["eid"]].reset_index(drop=True)
    taken.insert(0, "eid", [eid_of(body.seed) for body in bodies])
    truth = drawn.truth | {
        "about": drawn.truth["about"].replace("phantom table", "phantom cohort"),
        "n": n,
        "drawn_from": len(people),
    }
    return CohortTable(taken, drawn.phenotypes.set_index("eid").loc[rows["eid"]].reset_index(drop=True), truth), bodies


def write_imaged_cohort(
    folder: Path,
    n: int,
    seed: int = 0,
    *,
    stations: int = 6,
    small: bool = False,
    compress: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> WrittenCohort:
    """Write the zips, their truth, and the tables. Participants that exist already are kept.

    Parameters
    ----------
    folder : Path
        ``zips/<eid>_20201_2_0.zip``, ``truth/<eid>/{labels.seg.nrrd, truth.json}``,
        ``participants.csv``, ``truth.csv`` and ``truth.json``.
    n, seed : int
        See `draw_imaged_cohort`.
    stations : int
        Number of stations; the lowest of the six are used.
    small : bool
        Pixels of twice the size, from a coarser body: a fifth of the time, for tests.
    compress : bool
        JPEG lossless, as in the archive.
    progress : callable
        Called with the number of participants that exist.
    """
    table, bodies = draw_imaged_cohort(n, seed)
    geometry = archive_stations(stations)
    for number, body in enumerate(bodies):
        eid = eid_of(body.seed)
        target, truth = folder / "zips" / zip_name(eid), folder / "truth" / eid
        if not (target.is_file() and truth.is_dir()):
            making = folder / f".{eid}"
            for left in (truth, making):  # by a run that was interrupted
                shutil.rmtree(left, ignore_errors=True)
            try:
                written = write_study(
                    making,
                    participant=body,
                    stations=coarser(geometry, 2, 1) if small else geometry,
                    zip_archive=True,
                    compress=compress,
                    tissue_spacing_mm=_SMALL_TISSUE_MM if small else _USUAL_TISSUE_MM,
                )
                truth.parent.mkdir(parents=True, exist_ok=True)
                target.parent.mkdir(parents=True, exist_ok=True)
                written.truth_folder.rename(truth)
                written.dicom.rename(target)  # last: its presence says that the participant is complete
            finally:
                shutil.rmtree(making, ignore_errors=True)
        progress(number + 1)
    true = _true_values(folder, [eid_of(body.seed) for body in bodies])
    for name, text in {
        "participants.csv": table.participants.to_csv(index=False, float_format="%.7g", lineterminator="\n"),
        "truth.csv": true.to_csv(index=False, float_format="%.7g", lineterminator="\n"),
        "truth.json": json.dumps(table.truth, indent=2) + "\n",
    }.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return WrittenCohort(folder / "zips", folder / "participants.csv", folder / "truth.csv", folder / "truth.json")


def _true_values(folder: Path, eids: list[str]) -> pd.DataFrame:
    rows = []
    for eid in eids:
        facts = json.loads((folder / "truth" / eid / "truth.json").read_text(encoding="utf-8"))
        phenotypes = {key: np.nan if value is None else value for key, value in facts["covered_phenotypes"].items()}
        rows.append({"eid": eid, **phenotypes})
    return pd.DataFrame(rows)
