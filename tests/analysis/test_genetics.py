"""Export to the tools for genome-wide association studies."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, rankdata

from analysis.errors import DataError, OptionError
from analysis.genetics import TOOLS, ExportOptions, export
from analysis.genetics.covariates import for_regression
from analysis.genetics.traits import rank_normal

COUNT = 30


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path]:
    """Phenotypes and participants; one volume is missing, one tiny; participant 1000029 has no other data."""
    rng = np.random.default_rng(1)
    eid = [str(1_000_000 + number) for number in range(COUNT)]
    phenotypes = pd.DataFrame(
        {
            "eid": eid,
            "visit": "2",
            "tmv_cm3": [np.nan, 0.00001234567, 1234567.25, *rng.uniform(5000, 12000, COUNT - 3)],
            "pa_ratio": rng.uniform(0.3, 0.6, COUNT),
            "sartorius_cm3": 100.0,
            "model_name": "Thighs",
            "model_version": "1",
            "model_sha256": "ab" * 32,
            "model_trained_on_synthetic": 0,
        }
    )
    phenotypes.to_parquet(tmp_path / "phenotypes.parquet")
    people = pd.DataFrame(
        {"eid": eid, "p31": [0, 1] * (COUNT // 2), "p21003_i2": [57.0, 61.0, 62.0] * (COUNT // 3)}
        | {"p50_i2": [170.0, 170.0, 181.0] * (COUNT // 3), "p54_i2": [11025] * (COUNT - 3) + [11027] * 3}
        | {"p53_i2": ["2019-07-02", "2019-07-02", "2021-01-01"] * (COUNT // 3)}
    )
    people.loc[3, "p50_i2"] = np.nan
    people.head(COUNT - 1).to_csv(tmp_path / "ukb.csv", index=False)
    return tmp_path / "phenotypes.parquet", tmp_path / "ukb.csv"


def lines_of(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines()]


@pytest.mark.parametrize("tool", TOOLS)
def test_each_tool_gets_its_own_header_and_plain_numbers(tool: str, tables: tuple[Path, Path], tmp_path: Path) -> None:
    phenotypes, people = tables
    out = tmp_path / tool
    export(phenotypes, ExportOptions(tool, out, people))  # type: ignore[arg-type]
    lines = lines_of(out / "traits.txt")
    first = {"plink2": "#FID", "regenie": "FID", "bolt": "FID"}.get(tool)
    if first:
        assert lines.pop(0) == [first, "IID", "tmv_cm3", "pa_ratio"]
    else:
        assert (out / "traits.columns.txt").read_text() == "1 tmv_cm3\n2 pa_ratio\n"
    assert len(lines) == COUNT - 1 and {len(line) for line in lines} == {4}
    assert lines[0][:3] == ["1000000", "1000000", "NA"]
    assert lines[1][2] == "0.00001234567" and lines[2][2] == "1234567"
    assert ("\t" in (out / "traits.txt").read_text()) == (tool in ("plink2", "regenie"))


def test_covariates_are_those_of_the_visit_and_coded_for_regression(tables: tuple[Path, Path], tmp_path: Path) -> None:
    phenotypes, people = tables
    export(phenotypes, ExportOptions("bolt", tmp_path / "o", people))
    header, *lines = lines_of(tmp_path / "o" / "covariates.txt")
    assert header == ["FID", "IID", "age", "age2", "sex", "age_x_sex", "height_cm", "imaging_year", "centre"]
    age = json.loads((tmp_path / "o" / "export.json").read_text())["covariates"]["age_subtracted_years"]
    assert age == 59.9  # of the 29 who are exported
    assert lines[1][2:] == ["61", "1.21", "1", "1.1", "170", "2019.499", "C11025"]
    assert lines[0][4:6] == ["0", "0"] and lines[3][6] == "NA"


def test_no_covariate_is_nearly_a_multiple_of_another() -> None:
    rng = np.random.default_rng(3)
    people = pd.DataFrame({"age": rng.uniform(45, 82, 2000), "sex": rng.integers(0, 2, 2000).astype(float)})
    made, _, left_out = for_regression(people)
    assert left_out == {} and list(made.columns) == ["age", "age2", "sex", "age_x_sex"]
    inflation = np.diag(np.linalg.inv(np.corrcoef(made.to_numpy(), rowvar=False)))
    assert inflation.max() < 5  # PLINK 2 refuses 50


def test_covariates_without_variation_are_left_out_and_said(tables: tuple[Path, Path], tmp_path: Path) -> None:
    phenotypes, people = tables
    table = pd.read_csv(people)
    table.assign(p31=1, p54_i2=11025, p53_i2="").to_csv(people, index=False)
    made = export(phenotypes, ExportOptions("fastgwa", tmp_path / "o", people))
    assert made.covariates_left_out == {
        "sex": "the same for all",
        "centre": "the same for all",
        "age_x_sex": "all are of one sex",
    }
    assert not (tmp_path / "o" / "covariates.categorical.txt").exists()
    record = json.loads((tmp_path / "o" / "export.json").read_text())
    assert record["covariates"]["left_out"] == made.covariates_left_out and "--covar" not in record["example"]


def test_sex_is_not_given_to_plink_twice_on_the_x_chromosome(tables: tuple[Path, Path], tmp_path: Path) -> None:
    phenotypes, people = tables
    for given, expected in ((people, True), (None, False)):
        export(phenotypes, ExportOptions("plink2", tmp_path / "o", given))
        assert ("no-x-sex" in json.loads((tmp_path / "o" / "export.json").read_text())["example"]) == expected


def test_regenie_gets_complete_covariates_and_fastgwa_two_files(tables: tuple[Path, Path], tmp_path: Path) -> None:
    phenotypes, people = tables
    export(phenotypes, ExportOptions("regenie", tmp_path / "r", people))
    lines = lines_of(tmp_path / "r" / "covariates.txt")
    assert len(lines) == 1 + COUNT - 2 and not any("NA" in line for line in lines)
    export(phenotypes, ExportOptions("fastgwa", tmp_path / "f", people))
    assert lines_of(tmp_path / "f" / "covariates.categorical.txt")[0] == ["1000000", "1000000", "C11025"]
    assert len(lines_of(tmp_path / "f" / "covariates.quantitative.txt")[0]) == 2 + 6


def test_a_missing_centre_is_what_each_tool_reads_as_missing(tables: tuple[Path, Path], tmp_path: Path) -> None:
    phenotypes, people = tables
    table = pd.read_csv(people)
    table.loc[0, "p54_i2"] = np.nan
    table.to_csv(people, index=False)
    for tool, missing in (("plink2", "NONE"), ("bolt", "NA")):
        export(phenotypes, ExportOptions(tool, tmp_path / tool, people))  # type: ignore[arg-type]
        lines = lines_of(tmp_path / tool / "covariates.txt")
        assert lines[1][8] == missing and lines[4][6] == "NA"


def test_rank_normal_is_bloms_and_within_sex_on_request(tables: tuple[Path, Path], tmp_path: Path) -> None:
    values = pd.Series([5.0, 1.0, np.nan, 1.0, 9.0])
    expected = norm.ppf((rankdata([5.0, 1.0, 1.0, 9.0]) - 0.375) / 4.25)
    np.testing.assert_allclose(rank_normal(values).dropna(), expected)
    phenotypes, people = tables
    made = export(phenotypes, ExportOptions("bolt", tmp_path / "o", people, rank_normal=("sample", "sex"))).traits
    women = made["pa_ratio_rint_by_sex"].iloc[::2]
    assert (
        women.mean() == pytest.approx(0, abs=1e-9)
        and women.rank().tolist() == made["pa_ratio"].iloc[::2].rank().tolist()
    )
    assert made["pa_ratio_rint"].tolist() != made["pa_ratio_rint_by_sex"].tolist()
    dictionary = pd.read_csv(tmp_path / "o" / "traits.csv").set_index("trait")
    assert dictionary.loc["tmv_cm3", "unit"] == "cm3" and dictionary.loc["tmv_cm3_rint", "unit"] == "SD"
    assert set(dictionary["model_sha256"]) == {"ab" * 32} and dictionary.loc["tmv_cm3", "n"] == COUNT - 2


def test_who_is_left_out_is_counted_and_identifiers_are_bridged(tables: tuple[Path, Path], tmp_path: Path) -> None:
    phenotypes, people = tables
    (tmp_path / "w.csv").write_text("1000005\n1000006\n")
    (tmp_path / "qc.csv").write_text("eid,visit,decision\n1000007,2,reject\n1000008,2,accept\n")
    pairs = pd.DataFrame({"eid": range(1_000_000, 1_000_020), "genetic": range(5_000_000, 5_000_020)})
    pairs.to_csv(tmp_path / "bridge.csv", index=False)
    done = export(
        phenotypes,
        ExportOptions(
            "plink2", tmp_path / "o", people, exclude=tmp_path / "qc.csv", withdrawn=tmp_path / "w.csv",
            bridge=tmp_path / "bridge.csv",
        ),
    )  # fmt: skip
    assert [left for _, left in done.flow] == [30, 29, 27, 26, 17]
    assert "5000007" not in done.traits.index and {len(one) for one in done.traits.index} == {7}
    record = json.loads((tmp_path / "o" / "export.json").read_text())
    assert record["flow"][-1] == {"reason": "not in the bridge file", "left": 17} and "bridge" in record["inputs"]
    pairs.assign(genetic=1).to_csv(tmp_path / "bridge.csv", index=False)
    with pytest.raises(DataError, match="19 repeated values of genetic"):
        export(phenotypes, ExportOptions("plink2", tmp_path / "o", bridge=tmp_path / "bridge.csv"))


def test_a_network_trained_on_synthetic_data_is_refused_unless_forced(
    tables: tuple[Path, Path], tmp_path: Path
) -> None:
    phenotypes, _ = tables
    table = pd.read_parquet(phenotypes)
    table.loc[4, "model_trained_on_synthetic"] = 1
    table.to_parquet(phenotypes)
    with pytest.raises(DataError, match="1 of 30 rows were measured by a network that was trained on synthetic"):
        export(phenotypes, ExportOptions("bolt", tmp_path / "o"))
    assert not (tmp_path / "o").exists()
    export(phenotypes, ExportOptions("bolt", tmp_path / "o", force=True))
    assert pd.read_csv(tmp_path / "o" / "traits.csv")["trained_on_synthetic"].all()
    table.drop(columns="model_trained_on_synthetic").to_parquet(phenotypes)
    with pytest.raises(DataError, match="nobody knows"):
        export(phenotypes, ExportOptions("bolt", tmp_path / "o2"))


def test_wrong_options_and_traits_are_named(tables: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="Add --participants"):
        ExportOptions("bolt", tmp_path / "o", rank_normal=("sex",))
    with pytest.raises(DataError, match="no numeric column model_name"):
        export(tables[0], ExportOptions("bolt", tmp_path / "o", traits="tmv_cm3,model_name"))
    assert "sartorius_cm3" in export(tables[0], ExportOptions("bolt", tmp_path / "o", traits="all")).traits


@pytest.mark.parametrize(("visit", "given"), [("3", None), ("3_0", "3_0"), ("3_0", None)])
def test_covariates_are_those_of_the_visit_that_the_phenotypes_have(
    visit: str, given: str | None, tables: tuple[Path, Path], tmp_path: Path
) -> None:
    phenotypes, people = tables
    pd.read_parquet(phenotypes).assign(visit=visit).to_parquet(phenotypes)
    pd.read_csv(people).assign(p21003_i3=70.0).to_csv(people, index=False)
    made = export(phenotypes, ExportOptions("bolt", tmp_path / "o", people, visit=given))
    assert made.covariates_left_out["age"] == "the same for all"  # 70 at the repeat visit, and not 57 to 62


def test_a_negative_identifier_is_a_person_who_withdrew(tables: tuple[Path, Path], tmp_path: Path) -> None:
    phenotypes, _ = tables
    table = pd.read_parquet(phenotypes)
    table.loc[:1, "eid"] = ["-1", "-2"]
    table.to_parquet(phenotypes)
    made = export(phenotypes, ExportOptions("bolt", tmp_path / "o"))
    assert len(made.traits) == COUNT - 2 and made.flow[1] == ("withdrawn (a negative identifier)", COUNT - 2)
