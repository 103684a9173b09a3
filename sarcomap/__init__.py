"""SarcoMAP: muscle phenotypes from neck-to-knee Dixon MRI.

From a zip to numbers in ten lines:

>>> from sarcomap import SHIPPED_BUNDLE, RunOptions, load_model, process_study
>>> model = load_model(SHIPPED_BUNDLE)  # doctest: +SKIP
>>> for study in ("1000123_20201_2_0.zip", "1000456_20201_2_0.zip"):  # doctest: +SKIP
...     result = process_study(study, f"out/{study[:7]}", RunOptions(device="cpu"), model=model)
...     print(result.phenotypes["tmv_cm3"], result.phenotypes["pa_ratio"], result.flags)

The stages one by one, on arrays in memory:

>>> from sarcomap import fuse, load_study, measure, segment
>>> study = load_study("1000123_20201_2_0.zip")  # doctest: +SKIP
>>> fused = fuse(study)  # doctest: +SKIP
>>> labels = segment(fused, model)  # doctest: +SKIP
>>> measure(labels, fused, study.height_m).phenotypes.tmv_cm3  # doctest: +SKIP

Arrays are (z, y, x). Affines map voxels (i=x, j=y, k=z) to LPS
millimetres. A name's dependencies are imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from operators.core.lazy_names import lazy_names

if TYPE_CHECKING:
    from operators.core.contrast import Contrast
    from operators.core.errors import SarcoMapError
    from operators.core.label_map import LabelMap
    from operators.core.model_card import SHIPPED_BUNDLE, ModelCard
    from operators.core.nrrd_files import read_segmentation, read_volume, write_segmentation, write_volume
    from operators.core.options import (
        DeidentificationOptions,
        DicomOptions,
        FusionOptions,
        LabelOptions,
        ReadingOptions,
        ReportOptions,
        RunOptions,
        SegmentationOptions,
    )
    from operators.core.volume import Fused, Grid, QualityFlag, Station, Study, Volume
    from operators.dicom_loader import load_study
    from operators.dicom_seg_writer import write_dicom
    from operators.phenotype_report import measure, write_reports
    from operators.pipeline import StudyResult, fuse_study, process_study
    from operators.remeasure import measure_study
    from operators.segmentation import SegmentationModel, import_labels, load_model, segment
    from operators.station_fusion import fuse
    from operators.study_stream import StudyJob, StudyOutcome, process_studies

_HOMES = {
    "operators.core.contrast": ("Contrast",),
    "operators.core.errors": ("SarcoMapError",),
    "operators.core.label_map": ("LabelMap",),
    "operators.core.model_card": ("SHIPPED_BUNDLE", "ModelCard"),
    "operators.core.nrrd_files": ("read_segmentation", "read_volume", "write_segmentation", "write_volume"),
    "operators.core.options": (
        "DeidentificationOptions",
        "DicomOptions",
        "FusionOptions",
        "LabelOptions",
        "ReadingOptions",
        "ReportOptions",
        "RunOptions",
        "SegmentationOptions",
    ),
    "operators.core.volume": ("Fused", "Grid", "QualityFlag", "Station", "Study", "Volume"),
    "operators.dicom_loader": ("load_study",),
    "operators.dicom_seg_writer": ("write_dicom",),
    "operators.phenotype_report": ("measure", "write_reports"),
    "operators.pipeline": ("StudyResult", "fuse_study", "process_study"),
    "operators.remeasure": ("measure_study",),
    "operators.segmentation": ("SegmentationModel", "import_labels", "load_model", "segment"),
    "operators.station_fusion": ("fuse",),
    "operators.study_stream": ("StudyJob", "StudyOutcome", "process_studies"),
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES)

__all__ = [
    "Contrast",
    "DeidentificationOptions",
    "DicomOptions",
    "Fused",
    "FusionOptions",
    "Grid",
    "LabelMap",
    "LabelOptions",
    "ModelCard",
    "QualityFlag",
    "ReadingOptions",
    "ReportOptions",
    "SHIPPED_BUNDLE",
    "RunOptions",
    "SarcoMapError",
    "SegmentationModel",
    "SegmentationOptions",
    "Station",
    "Study",
    "StudyJob",
    "StudyOutcome",
    "StudyResult",
    "Volume",
    "fuse",
    "fuse_study",
    "import_labels",
    "load_model",
    "load_study",
    "measure",
    "measure_study",
    "process_studies",
    "process_study",
    "read_segmentation",
    "read_volume",
    "segment",
    "write_dicom",
    "write_reports",
    "write_segmentation",
    "write_volume",
]
