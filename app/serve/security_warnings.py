"""Warnings about risky settings, logged when the service starts."""

from __future__ import annotations

import os
from collections.abc import Mapping

from app.serve.settings import Settings
from operators.core.options import KEY_VARIABLE, WITHOUT_KEY

__all__ = ["cautions"]


def cautions(settings: Settings, environment: Mapping[str, str] | None = None) -> list[str]:
    """One sentence for each risk."""
    given = os.environ if environment is None else environment
    names = {argument.split("=")[0] for argument in settings.run.arguments}
    found = []
    if "--deidentify" in names and "--deidentify-key" not in names and not given.get(KEY_VARIABLE):
        found.append(f"run.arguments: {WITHOUT_KEY}")
    found += [
        f"destination {one.name}: {access.caution}"
        for one in settings.destinations
        if one.dicomweb and (access := one.access()).caution
    ]
    return found
