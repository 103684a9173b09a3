"""The label table: what each channel of the network is, and the muscle groups made of them.

The one home of these facts. The bundle's metadata, the DICOM-SEG and SR, the
report and the phantom derive from it.
"""

from operators.core.anatomy.table import (
    ADIPOSE_INDEX,
    ADIPOSE_TISSUE,
    BACKGROUND_INDEX,
    CHANNEL_COUNT,
    HAMSTRINGS,
    LABELS,
    MUSCLES,
    QUADRICEPS,
    STRUCTURES,
    THIGH_COMPARTMENTS,
    THIGH_MUSCLES,
    Compartment,
    Structure,
    Tissue,
    by_index,
    by_name,
    compartment_members,
)

__all__ = [
    "ADIPOSE_INDEX",
    "ADIPOSE_TISSUE",
    "BACKGROUND_INDEX",
    "CHANNEL_COUNT",
    "HAMSTRINGS",
    "LABELS",
    "MUSCLES",
    "QUADRICEPS",
    "STRUCTURES",
    "THIGH_COMPARTMENTS",
    "THIGH_MUSCLES",
    "Compartment",
    "Structure",
    "Tissue",
    "by_index",
    "by_name",
    "compartment_members",
]
