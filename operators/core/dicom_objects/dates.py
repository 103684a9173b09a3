"""The dates and times at which an object was made; they are removed or replaced in de-identified objects."""

from __future__ import annotations

from datetime import datetime

from pydicom.dataset import Dataset

from operators.core.volume import Study

__all__ = ["NO_DATE", "settle_dates"]

#: The date in de-identified objects where DICOM requires one (PS3.15 annex E, action D).
NO_DATE = datetime(2000, 1, 1)


def settle_dates(dataset: Dataset, study: Study, created: datetime) -> None:
    """Set every creation date and time in a data set to one value; remove or replace them when de-identified.

    If the source states its time zone, they are given in that zone, as DICOM requires of all times of an object (PS3.3
    C.12.1). A server's clock often runs in UTC, and its results would then seem older than the scan.

    Parameters
    ----------
    dataset : Dataset
        Changed in place, sequences included.
    study : Study
    created : datetime
    """
    if study.deidentified:
        created = NO_DATE
        # Where studies are processed as they arrive, the creation time is close to the time of the scan.
        for keyword in ("InstanceCreationDate", "InstanceCreationTime", "SeriesDate", "SeriesTime"):
            if keyword in dataset:
                delattr(dataset, keyword)
        for item in dataset.get("ContributingEquipmentSequence", []):
            if "ContributionDateTime" in item:
                del item.ContributionDateTime
    elif offset := study.patient.get("TimezoneOffsetFromUTC"):
        created = created.astimezone(datetime.strptime(offset, "%z").tzinfo)
    for kind in ("InstanceCreation", "Content", "Series"):
        if f"{kind}Date" in dataset:
            setattr(dataset, f"{kind}Date", created.strftime("%Y%m%d"))
        if f"{kind}Time" in dataset:
            setattr(dataset, f"{kind}Time", created.strftime("%H%M%S"))
    for item in dataset.get("ContributingEquipmentSequence", []):
        if "ContributionDateTime" in item:
            item.ContributionDateTime = created.strftime("%Y%m%d%H%M%S")
