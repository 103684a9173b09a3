"""Phenotypes and covariates as files of the tools for genome-wide association studies."""

from __future__ import annotations

from analysis.genetics.export import Exported, export
from analysis.genetics.options import TOOLS, ExportOptions

__all__ = ["TOOLS", "ExportOptions", "Exported", "export"]
