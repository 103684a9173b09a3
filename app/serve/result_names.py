"""Name of a study's results folder."""

from __future__ import annotations

from pathlib import Path

from pydicom import dcmread

from operators.core.deidentification import METHOD
from operators.core.study_key import study_key

__all__ = ["results_name"]


def results_name(job_name: str, results: Path) -> str:
    """The job's name. For de-identified results: a name that cannot be derived from the study's UID.

    Jobs are named by a digest of the UID, so anybody with the original images
    can compute the name. The segmentation's new UID depends on the secret key.
    It is the same for each run of the same input and differs between inputs.

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
        return job_name  # also if somebody else de-identified the input: its UID is then no secret
    return f"{study_key(str(header.SOPInstanceUID))}.{job_name.split('.')[1]}"
