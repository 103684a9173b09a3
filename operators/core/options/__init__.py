"""The options of a run. Each option is declared once, here.

Command lines, YAML files, the service's settings, environment variables and
the record of options in ``report.json`` derive from these dataclasses; see
`operators.core.options.declaration`.
"""

from operators.core.options.declaration import OptionError, flag_of, recorded
from operators.core.options.deidentification import (
    KEY_VARIABLE,
    WITHOUT_KEY,
    Deidentification,
    DeidentificationOptions,
)
from operators.core.options.dicom import Compression, DicomOptions, SegType
from operators.core.options.fusion import BiasCorrection, Blend, Device, FusionOptions, StationChoice, check_spacing
from operators.core.options.person import PersonOptions, with_person
from operators.core.options.reading import ReadingOptions
from operators.core.options.report import ReportOptions, Viewer
from operators.core.options.run import RunOptions
from operators.core.options.segmentation import Backend, LabelOptions, Precision, SegmentationOptions

__all__ = [
    "KEY_VARIABLE",
    "WITHOUT_KEY",
    "Backend",
    "BiasCorrection",
    "Blend",
    "Compression",
    "Deidentification",
    "DeidentificationOptions",
    "Device",
    "DicomOptions",
    "FusionOptions",
    "LabelOptions",
    "OptionError",
    "PersonOptions",
    "Precision",
    "ReadingOptions",
    "ReportOptions",
    "RunOptions",
    "SegType",
    "SegmentationOptions",
    "StationChoice",
    "Viewer",
    "check_spacing",
    "flag_of",
    "recorded",
    "with_person",
]
