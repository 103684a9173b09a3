"""When an object was made, or that nobody should know."""

from __future__ import annotations

from datetime import datetime

from pydicom.dataset import Dataset

from operators.core.volume import Study

__all__ = ["NO_DATE", "settle_dates"]

#: Takes the place of dates in de-identified objects where a date must stand (PS3.15 annex E, action D).
NO_DATE = datetime(2000, 1, 1)


def settle_dates(dataset: Dataset, study: Study, created: datetime) -> None:
    """Give every moment of making in a data set one value; none that tells anything when the study is de-identified.

    Parameters
    ----------
    dataset : Dataset
        Changed in place, sequences included.
    study : Study
    created : datetime
    """
    if study.deidentified:
        created = NO_DATE
        # A time of making is close to the time of scanning where studies are processed as they come.
        for keyword in ("InstanceCreationDate", "InstanceCreationTime", "SeriesDate", "SeriesTime"):
            if keyword in dataset:
                delattr(dataset, keyword)
        for item in dataset.get("ContributingEquipmentSequence", []):
            if "ContributionDateTime" in item:
                del item.ContributionDateTime
    for kind in ("InstanceCreation", "Content", "Series"):
        if f"{kind}Date" in dataset:
            setattr(dataset, f"{kind}Date", created.strftime("%Y%m%d"))
        if f"{kind}Time" in dataset:
            setattr(dataset, f"{kind}Time", created.strftime("%H%M%S"))
    for item in dataset.get("ContributingEquipmentSequence", []):
        if "ContributionDateTime" in item:
            item.ContributionDateTime = created.strftime("%Y%m%d%H%M%S")
