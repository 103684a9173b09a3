"""The registry of phenotypes: what each one is, what it needs and how it is computed.

A phenotype is one entry of `PHENOTYPES`. The result object, the reasons for
missing values, the report's schema, page and DICOM SR, and the columns of
``analysis collect`` and ``phantom table`` derive from it.

>>> from operators.core.phenotypes import PHENOTYPES
>>> PHENOTYPES["pa_ratio"].title
'Posterior to anterior ratio'
"""

from operators.core.phenotypes.evaluation import evaluate
from operators.core.phenotypes.measured_body import MeasuredBody
from operators.core.phenotypes.muscle_fat import MuscleFat
from operators.core.phenotypes.one_side import withheld_for_one_side
from operators.core.phenotypes.phenotype import Card, Phenotype, Side, SrConcept
from operators.core.phenotypes.registry import PHENOTYPES
from operators.core.phenotypes.units import CUBIC_CM, CUBIC_CM_PER_SQUARE_CM, FRACTION, RATIO, SQUARE_CM, Unit

__all__ = [
    "CUBIC_CM",
    "CUBIC_CM_PER_SQUARE_CM",
    "FRACTION",
    "PHENOTYPES",
    "RATIO",
    "SQUARE_CM",
    "Card",
    "MeasuredBody",
    "MuscleFat",
    "Phenotype",
    "Side",
    "SrConcept",
    "Unit",
    "evaluate",
    "withheld_for_one_side",
]
