"""The first stage: one Dixon study, from a zip or a folder of DICOM files to its stations.

The MONAI Deploy operator is in `operators.dicom_loader.operator`, so that
loading needs no Holoscan.
"""

from operators.dicom_loader.source import ArchiveLimits
from operators.dicom_loader.study import load_study

__all__ = ["ArchiveLimits", "load_study"]
