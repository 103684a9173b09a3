"""The JSON Schema of ``report.json``; its parts about structures and phenotypes are generated.

``schema/report.schema.json`` is a single file, for people and for programs that
do not import SarcoMAP's code. Edit its hand-written parts there. The command
``python -m operators.core.report_schema`` regenerates the other parts from the
label table and the registry of phenotypes.

The schema has annotations that JSON Schema does not define: ``x-unit``,
``x-since`` (the first version of the schema with that phenotype) and
``x-replaced-by``. At the top, ``x-readable-versions`` lists the versions of
reports that the schema can validate if later phenotypes are not required.
"""

from __future__ import annotations

import copy
import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from operators.core.anatomy import STRUCTURES
from operators.core.output_files import replacing
from operators.core.phenotypes import PHENOTYPES, Phenotype

__all__ = ["report_schema", "schema_text", "schema_version"]

# 1.1.0 added the options of the run, a digest of the labels, and each phenotype's title, unit and first version.
# 1.2.0 added fat as Dixon signal fat fraction, and the numbers that a flag touches.
# 1.3.0 added standard errors and intervals, the calibration they come from, and the lowest confidence of structures.
_VERSIONS = ("1.0.0", "1.1.0", "1.2.0", "1.3.0")
_FILE = "schema/report.schema.json"


def schema_version() -> str:
    """The version of the reports that are written now: the newest of the schema and its phenotypes."""
    return _versions()[-1]


def report_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of ``report.json``."""
    schema = copy.deepcopy(_committed())
    version = schema_version()
    schema["$id"] = f"urn:sarcomap:report:{version}"
    schema["x-readable-versions"] = list(_versions())
    parts = schema["properties"]
    parts["schema_version"] = {"const": version}
    structures = parts["structures"]
    structures |= {"minItems": len(STRUCTURES), "maxItems": len(STRUCTURES)}
    columns = structures["items"]["properties"]
    columns["index"] |= {"minimum": STRUCTURES[0].index, "maximum": STRUCTURES[-1].index}
    columns["compartment"] = {"enum": list(dict.fromkeys(str(s.compartment) for s in STRUCTURES))}
    columns["tissue"] = {"enum": list(dict.fromkeys(str(s.tissue) for s in STRUCTURES))}
    parts["phenotypes"]["properties"] = {key: _property(phenotype) for key, phenotype in PHENOTYPES.items()}
    parts["phenotypes"]["required"] = list(PHENOTYPES)
    parts["quality"]["properties"]["not_given"]["propertyNames"] = {"enum": list(PHENOTYPES)}
    for part in ("phenotypes", "not_given"):
        parts["uncertainty"]["properties"][part]["propertyNames"] = {"enum": list(PHENOTYPES)}
    return schema


def schema_text() -> str:
    """`report_schema` as the text of its file."""
    return json.dumps(report_schema(), indent=2, ensure_ascii=False) + "\n"


@cache
def _committed() -> dict[str, Any]:
    text = resources.files("operators.core").joinpath(_FILE).read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def _versions() -> tuple[str, ...]:
    known = {*_VERSIONS, *(phenotype.since for phenotype in PHENOTYPES.values())}
    return tuple(sorted(known, key=lambda version: [int(part) for part in version.split(".")]))


def _property(phenotype: Phenotype) -> dict[str, Any]:
    about: dict[str, Any] = {
        "title": phenotype.title,
        "description": phenotype.description,
        "type": ["number", "null"],
        "minimum": 0,
    }
    if phenotype.unit.maximum is not None:
        # A whole number is written without decimals, as people write it.
        about["maximum"] = int(phenotype.unit.maximum) if phenotype.unit.maximum % 1 == 0 else phenotype.unit.maximum
    about |= {"x-unit": phenotype.unit.name, "x-since": phenotype.since}
    if phenotype.replaced_by is not None:
        about |= {"deprecated": True, "x-replaced-by": phenotype.replaced_by}
    return about


def main() -> None:
    """Regenerate the schema's file."""
    path = Path(__file__).parent / _FILE
    with replacing(path) as temporary:
        temporary.write_text(schema_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
