"""Quality control of a cohort: outliers, and one page on which a person accepts or rejects studies."""

from __future__ import annotations

from analysis.quality.outliers import Extremes, find_extremes, robust_z
from analysis.quality.page import quality_page

__all__ = ["Extremes", "find_extremes", "quality_page", "robust_z"]
