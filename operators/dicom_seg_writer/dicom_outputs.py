"""The whole fourth stage: write the derived series, then the segmentation that refers to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from operators.core import clock
from operators.core.model_card import ModelCard
from operators.core.options import DicomOptions
from operators.core.volume import Contrast, Fused, Study, Volume
from operators.derived_series import DerivedSeries, derive, write_derived
from operators.dicom_seg_writer.writer import write_seg

__all__ = ["DicomFiles", "write_dicom"]


@dataclass(frozen=True)
class DicomFiles:
    """The DICOM outputs of a study.

    Attributes
    ----------
    segmentation : Path
    derived : tuple of DerivedSeries
        Written below ``derived/``, each in a folder named after its contrast.
    """

    segmentation: Path
    derived: tuple[DerivedSeries, ...]


def write_dicom(
    folder: Path | str,
    labels: Volume,
    fused: Fused,
    study: Study,
    model: ModelCard,
    contrasts: tuple[Contrast, ...] = (Contrast.WATER,),
    options: DicomOptions = DicomOptions(),  # noqa: B008 (frozen)
) -> DicomFiles:
    """Write ``derived/<contrast>/*.dcm`` and ``segmentation.dcm``.

    Parameters
    ----------
    folder : Path or str
    labels, fused, study, model
        See `derive` and `make_seg`.
    contrasts : tuple of Contrast
        The network's input contrasts. The segmentation refers to the derived
        series of these, or to all derived series when none of them is written.
    options : DicomOptions
        Contrasts of `DicomOptions.derived` that the study does not have are left out.

    Raises
    ------
    GeometryError, OutputError
        See `derive`, `write_derived` and `write_seg`.
    """
    folder, created = Path(folder), clock.now()
    derived = tuple(derive(fused, study, contrast, created) for contrast in options.derived_without(fused.absent))
    for series in derived:
        write_derived(folder / "derived" / series.contrast.value, series, options.derived_transfer_syntax)
    read = tuple(series for series in derived if series.contrast in contrasts) or derived
    path = write_seg(folder / "segmentation.dcm", labels, read, study, model, options, created)
    return DicomFiles(path, derived)
