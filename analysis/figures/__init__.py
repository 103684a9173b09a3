"""The figures: functions from results to matplotlib Figures at a journal's column width."""

from analysis.figures.by_age import box_by_age, decline_by_age
from analysis.figures.concordance import concordance_figure
from analysis.figures.flow import flow_figure
from analysis.figures.forest import forest
from analysis.figures.style import save

__all__ = ["box_by_age", "concordance_figure", "decline_by_age", "flow_figure", "forest", "save"]
