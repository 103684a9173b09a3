"""Reading of volumes that were fused elsewhere, from NIfTI files.

The MONAI Deploy operator is in `operators.nifti_loader.operator`.
"""

from typing import TYPE_CHECKING

from operators.core.lazy_names import lazy_names

if TYPE_CHECKING:
    from operators.nifti_loader.files import is_nifti
    from operators.nifti_loader.study import load_nifti

__all__ = ["is_nifti", "load_nifti"]

__getattr__, __dir__ = lazy_names(
    __name__, {"operators.nifti_loader.files": ("is_nifti",), "operators.nifti_loader.study": ("load_nifti",)}
)
