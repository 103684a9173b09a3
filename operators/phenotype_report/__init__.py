"""The fifth stage: phenotypes, and the report in its three forms."""

from operators.phenotype_report.html import pictures_of, render_html, write_html
from operators.phenotype_report.measurements import Measurements, Phenotypes, StructureMeasure
from operators.phenotype_report.mid_surface import MidSurface, find_mid_surface
from operators.phenotype_report.phenotypes import measure
from operators.phenotype_report.pictures import busiest_slice, overlay_png
from operators.phenotype_report.report import build_report, validate, write_report
from operators.phenotype_report.report_files import ReportFiles, write_reports
from operators.phenotype_report.sides import side_volume
from operators.phenotype_report.sr import make_sr, write_sr

__all__ = [
    "Measurements",
    "MidSurface",
    "Phenotypes",
    "ReportFiles",
    "StructureMeasure",
    "build_report",
    "busiest_slice",
    "find_mid_surface",
    "make_sr",
    "measure",
    "overlay_png",
    "pictures_of",
    "render_html",
    "side_volume",
    "validate",
    "write_html",
    "write_report",
    "write_reports",
    "write_sr",
]
