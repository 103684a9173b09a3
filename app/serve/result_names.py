"""What a study's folder of results is called."""

from __future__ import annotations

from pathlib import Path

from pydicom import dcmread

from operators.core.deidentification import METHOD
from operators.core.study_key import study_key

__all__ = ["results_name"]


def results_name(job_name: str, results: Path) -> str:
    """The job's name; for de-identified results one that does not follow from the study's UID.

    Jobs are named by a digest of the UID, which whoever has the originals can
    compute. The segmentation's new UID was made with the secret key, is the
    same for each run of the same input, and another for another input.

    Parameters
    ----------
    job_name : str
        ``<key>.<generation>``.
    results : Path
        A run's output folder.
    """
    file = results / "segmentation.dcm"
    if not file.is_file():
        return job_name
    header = dcmread(file, stop_before_pixels=True, specific_tags=["DeidentificationMethod", "SOPInstanceUID"])
    methods = header.get("DeidentificationMethod") or ()
    if METHOD not in ([methods] if isinstance(methods, str) else methods):
        return job_name  # also when others removed the identity before: the UID is then the one that is known
    return f"{study_key(str(header.SOPInstanceUID))}.{job_name.split('.')[1]}"
