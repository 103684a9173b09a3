"""A cohort's results as a BIDS derivative, with images and labels as NIfTI.

BIDS has no rules for Dixon MRI of the body. Its general rules for derivatives hold: ``desc`` says what an image is,
``dseg`` is a label map with its table, and every image has a JSON file beside it (BIDS 1.10, "BIDS Derivatives").
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from analysis.collect import collect_reports
from operators.core.errors import InputError, OutputError
from operators.core.output_files import check_writable, replacing

__all__ = ["write_bids"]

_VERSION = "1.10.0"
_IMAGES = ("water", "fat", "in", "opp", "fat_fraction")
_MEANING = {
    "water": "Fused Dixon water image",
    "fat": "Fused Dixon fat image",
    "in": "Fused in-phase image",
    "opp": "Fused opposed-phase image",
    "fat_fraction": "Fat over water plus fat",
}
_CORE_COLUMNS = ("tmv_cm3", "pa_ratio", "lr_asymmetry", "tvi_cm3_per_cm2", "muscle_fat_fraction")


def write_bids(cohort: Path, out: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> int:
    """Write a BIDS derivative of every study that has a report; returns their number.

    ``sub-<eid>/[ses-<visit>/]anat/`` has labels, and images if the cohort kept its fused volumes. Identifiers keep
    letters and digits only, because BIDS allows no others.

    Parameters
    ----------
    cohort : Path
        Output of a cohort run.
    out : Path
        Folder to write into.
    progress : callable
        Called with the number of studies done and of all.

    Raises
    ------
    InputError
        If two studies would have one name.
    OutputError
        If a file cannot be written.
    """
    collected = collect_reports(cohort)
    check_writable(out)
    names: dict[tuple[str, str], int] = {}
    rows = []
    for number, (eid, visit) in enumerate(
        zip(collected.table["eid"], collected.table["visit"].fillna(""), strict=True)
    ):
        name = _label(eid), _label(visit)
        if name in names or not name[0]:
            raise InputError(
                cohort.name,
                "two studies whose identifiers differ only in characters that BIDS does not allow",
                "identifiers of letters and digits",
                "Give other keys in a manifest.",
            )
        names[name] = number
    _write_common(out, collected.table)
    for (subject, session), number in names.items():
        study = cohort / collected.folders[number]
        _write_study(study, out, subject, session)
        values = collected.table.iloc[number]
        rows.append([f"sub-{subject}", f"ses-{session}" if session else "n/a", *_values(values)])
        progress(number + 1, len(names))
    lines = [["participant_id", "session_id", *_CORE_COLUMNS], *rows]
    with replacing(out / "phenotype.tsv") as temporary, temporary.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened, delimiter="\t", lineterminator="\n").writerows(lines)
    return len(names)


def _write_study(study: Path, out: Path, subject: str, session: str) -> None:
    from operators.core.nrrd_files import read_segmentation, read_volume

    stem = f"sub-{subject}" + (f"_ses-{session}" if session else "")
    folder = out.joinpath(f"sub-{subject}", *([f"ses-{session}"] if session else []), "anat")
    report = json.loads((study / "report.json").read_text(encoding="utf-8"))
    for name, path, read in _volumes(study, read_segmentation, read_volume):
        target = folder / f"{stem}_{name}.nii.gz"
        _write_nifti(target, read(path))
        is_labels = name.endswith("dseg")
        about: dict[str, Any] = {"SpatialReference": "orig", "SkullStripped": False}
        if is_labels:
            model = report["model"]
            about |= {"Manual": model.get("made", "automatic") == "manual", "Atlas": "SarcoMAP's 27 structures"}
            about |= {
                "Model": {key: model[key] for key in ("name", "version", "sha256", "training_data", "intended_use")}
            }
        else:
            about |= {"Description": _MEANING[path.stem]}
        _write_json(folder / f"{stem}_{name}.json", about)


def _volumes(study: Path, segmentation: Any, volume: Any) -> Iterator[tuple[str, Path, Any]]:
    """Name in BIDS, file and reader of what the study has."""
    labels = study / "segmentation.seg.nrrd"
    if labels.is_file():
        yield "desc-muscles_dseg", labels, segmentation
    for name in _IMAGES:
        path = study / "fused" / f"{name}.nrrd"
        if path.is_file():
            yield f"desc-{_label(name)}_T1w", path, volume


def _write_nifti(path: Path, volume: Any) -> None:
    import nibabel
    import numpy as np

    from operators.core.grid_geometry import LPS_TO_RAS

    image: Any = nibabel.Nifti1Image(np.asarray(volume.voxels).transpose(2, 1, 0), LPS_TO_RAS @ volume.grid.affine)
    image.header.set_xyzt_units("mm")
    try:
        with replacing(path, ending=".nii.gz") as temporary:
            nibabel.save(image, temporary)
    except OSError as error:
        raise OutputError(
            path.name, error.strerror or type(error).__name__, "a folder with room", "Choose another -o."
        ) from error


def _write_common(out: Path, table: Any) -> None:
    from operators.core.anatomy import STRUCTURES
    from operators.core.software import software

    made_by = software()
    models = table[["model_name", "model_version", "model_training_data", "model_intended_use"]].drop_duplicates()
    _write_json(
        out / "dataset_description.json",
        {
            "Name": "SarcoMAP: muscles of pelvis and thigh",
            "BIDSVersion": _VERSION,
            "DatasetType": "derivative",
            "GeneratedBy": [
                {
                    "Name": "SarcoMAP",
                    "Version": made_by["version"],
                    "Description": " ".join(
                        f"{n} {v}. {data} {use}" for n, v, data, use in models.itertuples(index=False)
                    ),
                }
            ],
        },
    )
    rows = [["index", "name", "color"], ["0", "background", "#000000"]]
    rows += [[str(s.index), s.name, "#{:02x}{:02x}{:02x}".format(*s.colour_rgb)] for s in STRUCTURES]
    with replacing(out / "desc-muscles_dseg.tsv") as temporary, temporary.open("w", encoding="utf-8") as opened:
        csv.writer(opened, delimiter="\t", lineterminator="\n").writerows(rows)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _values(row: Any) -> list[str]:
    return ["n/a" if name not in row or row[name] != row[name] else f"{row[name]:.7g}" for name in _CORE_COLUMNS]


def _label(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", text)
