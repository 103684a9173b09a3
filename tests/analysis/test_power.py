"""Power against R's own functions, published examples and simulation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.command_line import run_command
from analysis.errors import UsageError
from analysis.logistic import fit_logistic
from analysis.power import (
    explained_share,
    interval_ratio,
    power_of_thirds,
    power_per_sd,
    power_table,
    smallest_ratio,
)
from analysis.power_command import command
from tests.analysis.r import needs_r, run_r


@needs_r
def test_power_of_two_thirds_is_that_of_power_prop_test(tmp_path: Path) -> None:
    r = run_r(
        """
        p <- function(n, a, b) power.prop.test(n = n, p1 = a, p2 = b)$power
        o <- 1.3 * .06 / .94; q <- o / (1 + o)
        out("power", c(p(4000, .06, q), p(500, .06, q), p(4000 * .8, .06, q)))
        s <- power.prop.test(n = 4000, p1 = .06, power = .8, tol = 1e-12)$p2
        out("smallest", (s / (1 - s)) / (.06 / .94))
        """,
        tmp_path,
    )
    # R's default leaves out the chance to find the opposite direction, as we do.
    ours = [
        power_of_thirds(1.3, 8000, 0.06),
        power_of_thirds(1.3, 1000, 0.06),
        power_of_thirds(1.3, 8000, 0.06, r2=0.2),
    ]
    np.testing.assert_allclose(ours, r["power"], atol=1e-9)
    assert smallest_ratio(lambda ratio: power_of_thirds(ratio, 8000, 0.06)) == pytest.approx(r["smallest"][0], rel=1e-4)


def test_published_examples_of_sample_size_come_out() -> None:
    # Hsieh et al. 1998, table II, balanced design (1): 317 people for log(ratio) = 0.405, half of them with the event.
    assert power_per_sd(np.exp(0.405), 317, 0.5) == pytest.approx(0.95, abs=5e-4)
    assert interval_ratio(100.0) == pytest.approx(np.exp(2 * 1.959964 / 10))
    assert np.isnan(smallest_ratio(lambda ratio: power_per_sd(ratio, 2, 0.01)))


def test_simulated_cohorts_find_the_effect_as_often_as_planned() -> None:
    rng, n, share, ratio, times = np.random.default_rng(7), 800, 0.2, 1.25, 400
    found = 0
    for _ in range(times):
        z = rng.normal(size=n)
        x = 0.6 * z + 0.8 * rng.normal(size=n)
        y = (rng.random(n) < 1 / (1 + np.exp(-np.log(share / (1 - share)) - np.log(ratio) * x))).astype(float)
        found += fit_logistic(np.column_stack([x, z]), y).p_values[1] < 0.05
    planned = power_per_sd(ratio, n, share, r2=0.36)
    assert 0.5 < planned < 0.9 and found / times == pytest.approx(planned, abs=3 * np.sqrt(0.25 / times))


def test_the_table_grows_with_people_and_refuses_impossible_numbers() -> None:
    small, large = (power_table(n, {"falls": 0.12}).set_index("contrast") for n in (2000, 37_004))
    assert (large["smallest_ratio"] < small["smallest_ratio"]).all()
    assert (small["power_at_1.2"] < large["power_at_1.2"]).all() and large.loc["per SD", "power_at_1.1"] > 0.99
    assert large.loc["per SD", "interval_ratio"] == pytest.approx(interval_ratio(37_004 * 0.12 * 0.88), rel=1e-9)
    with pytest.raises(UsageError, match="share of falls"):
        power_table(1000, {"falls": 0.0})
    with pytest.raises(UsageError, match="power, people"):
        power_table(0, {"falls": 0.1})


def test_the_explained_share_is_r_squared() -> None:
    rng = np.random.default_rng(3)
    age = rng.normal(65, 8, 4000)
    table = pd.DataFrame({"age": age, "x": 0.6 * (age - 65) / 8 + 0.8 * rng.normal(size=4000)})
    r = np.corrcoef(table["age"], table["x"])[0, 1]
    assert explained_share(table, "x", ("age",)) == pytest.approx(r**2, rel=1e-9)
    assert explained_share(table, "x", ()) == 0 and explained_share(table.assign(x=1.0), "x", ("age",)) == 0


def test_the_command_writes_table_and_curves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--people", "20000", "--share", "falls=0.12", "--share", "death=0.03", "--r2", "0.2"]
    assert run_command(command, [*words, "--out", str(tmp_path / "plan")]) == 0
    said = capsys.readouterr().out
    assert "falls" in said and "1.0" in said
    table = pd.read_csv(tmp_path / "plan/power.csv")
    expected = power_table(20_000, {"falls": 0.12, "death": 0.03}, r2=0.2)
    np.testing.assert_allclose(table["smallest_ratio"], expected["smallest_ratio"], rtol=1e-6)
    curves = pd.read_csv(tmp_path / "plan/power_curves.csv")
    assert (
        curves.groupby(["outcome", "contrast"])["smallest_ratio"].apply(lambda part: part.is_monotonic_decreasing).all()
    )
    assert (tmp_path / "plan/power.svg").is_file() and (tmp_path / "plan/power.png").is_file()
    assert run_command(command, ["--people", "20000", "--share", "falls=1.2"]) == 2
    assert "share of falls" in capsys.readouterr().err
    assert run_command(command, ["--people", "20000", "--share", "falls"]) == 2
    assert "NAME=SHARE" in capsys.readouterr().err
