"""Write the table of phenotypes; as Parquet with types, units and versions."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.collect import Collected, standard_error_column
from analysis.files import replacing
from analysis.tables import write_table

__all__ = ["TABLE_VERSION", "write_phenotypes"]

#: Version of the table's columns. It grows when a column changes its meaning or is removed.
TABLE_VERSION = "1.0.0"


def write_phenotypes(collected: Collected, path: Path) -> None:
    """Write the table whole or not at all.

    In Parquet each column has its type, and a phenotype's field has the metadata
    ``unit``. The table's own metadata has the key ``sarcomap``: JSON with
    ``table``, ``table_version``, ``report_schema_versions`` and ``models``
    (name, version, SHA-256, and whether it was trained on synthetic data).

    Parameters
    ----------
    collected : Collected
    path : Path
        ``.parquet``, ``.csv`` or ``.tsv``.

    Raises
    ------
    OutputError
        If it cannot be written.
    UsageError
        If the name has another ending.
    """
    if path.suffix != ".parquet":
        write_table(collected.table, path)
        return
    frame = collected.table
    table = pa.Table.from_pandas(frame, preserve_index=False)
    models = frame[["model_name", "model_version", "model_sha256", "model_trained_on_synthetic"]].drop_duplicates()
    about = {
        "table": "phenotypes",
        "table_version": TABLE_VERSION,
        "report_schema_versions": sorted(frame["schema_version"].unique()),
        "models": [
            {"name": name, "version": version, "sha256": sha256, "trained_on_synthetic": bool(synthetic)}
            for name, version, sha256, synthetic in models.itertuples(index=False)
        ],
    }
    fields = [field.with_metadata({"unit": _unit(field.name, collected)}) for field in table.schema]
    schema = pa.schema(fields, {**(table.schema.metadata or {}), b"sarcomap": json.dumps(about).encode()})
    with replacing(path) as temporary:
        pq.write_table(table.cast(schema), temporary)


def _unit(column: str, collected: Collected) -> str:
    for key, about in collected.phenotypes.items():
        if column in (key, standard_error_column(key)):
            return str(about.get("x-unit", ""))
    return "cm3" if column.endswith("_cm3") else "fraction" if column.endswith("_fat_fraction") else ""
