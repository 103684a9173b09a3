"""The label table: what each of the 29 channels is, and the muscle groups made of them.

The one home of these facts. The bundle's metadata, the DICOM-SEG and SR, the
report and the phantom derive from it.
"""

from operators.core.anatomy.table import (
    ADIPOSE_INDEX,
    BACKGROUND_INDEX,
    CHANNEL_COUNT,
    HAMSTRINGS,
    MUSCLES,
    QUADRICEPS,
    STRUCTURES,
    THIGH_COMPARTMENTS,
    Compartment,
    Structure,
    Tissue,
    by_index,
    by_name,
)

__all__ = [
    "ADIPOSE_INDEX",
    "BACKGROUND_INDEX",
    "CHANNEL_COUNT",
    "HAMSTRINGS",
    "MUSCLES",
    "QUADRICEPS",
    "STRUCTURES",
    "THIGH_COMPARTMENTS",
    "Compartment",
    "Structure",
    "Tissue",
    "by_index",
    "by_name",
]
