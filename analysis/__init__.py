"""Cohort epidemiology of sarcopenia, on tables alone: from phenotypes and participants to a report."""
