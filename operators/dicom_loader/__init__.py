"""The first stage: read the stations of one Dixon study from a zip or a folder of DICOM files.

The MONAI Deploy operator is in `operators.dicom_loader.operator`, so that
loading works without Holoscan. `ArchiveLimits` (in
`operators.dicom_loader.source`) can be imported without pydicom.
"""

from typing import TYPE_CHECKING

from operators.core.lazy_names import lazy_names

if TYPE_CHECKING:
    from operators.dicom_loader.source import ArchiveLimits
    from operators.dicom_loader.study import load_study

__all__ = ["ArchiveLimits", "load_study"]

__getattr__, __dir__ = lazy_names(
    __name__, {"operators.dicom_loader.source": ("ArchiveLimits",), "operators.dicom_loader.study": ("load_study",)}
)
