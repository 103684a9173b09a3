"""The label table: the structure of each channel of the network, and the muscle groups.

These facts are stated only here. The bundle's metadata, the DICOM SEG and SR,
the report and the phantom derive from them.
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
