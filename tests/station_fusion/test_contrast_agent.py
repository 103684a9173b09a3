"""Stations scanned after a contrast agent are told by their headers: a native scan is preferred, and all is flagged."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from operators.core.volume import QualityFlag, Station
from operators.station_fusion import fuse
from operators.station_fusion.positions import find_positions
from tests.station_fusion.made_stations import make_grid, make_position, make_study

FIRST, LATER = datetime(2020, 1, 1, 10), datetime(2020, 1, 1, 11)


def station(n: int, *, agent: str = "", acquired: datetime = FIRST) -> list[Station]:
    grid = make_grid((12, 40, 44), (5, 5, 3), (0, 0, 30.0 * n))
    number = 1 + 4 * n + (100 if acquired > FIRST else 0)
    made = make_position(grid, first_series=number, acquired=acquired)
    return [replace(one, contrast_agent=agent) for one in made]


def agent_flags(positions: list[list[Station]]) -> list[QualityFlag]:
    return [flag for flag in fuse(make_study(positions)).flags if flag.code == "contrast-agent"]


@pytest.mark.parametrize("told_by", ["ContrastBolusAgent", "description"])
def test_a_native_scan_is_kept_beside_a_later_one_after_an_agent(told_by: str) -> None:
    stations = [*station(0), *station(1), *station(1, agent=told_by, acquired=LATER)]
    positions, flags = find_positions(stations)
    assert [position.name for position in positions] == ["series 5, 6, 7, 8", "series 1, 2, 3, 4"]
    (flag,) = flags
    assert (flag.code, flag.severity) == ("duplicate-station", "warning")
    assert f"the newer was scanned after a contrast agent ({told_by})" in flag.message


def test_a_whole_set_after_an_agent_is_left_out_also_where_it_agrees_with_itself() -> None:
    brighter = [
        replace(one, voxels=one.voxels * 2) for n in (0, 1) for one in station(n, agent="description", acquired=LATER)
    ]
    positions, flags = find_positions([*station(0), *station(1), *brighter])
    assert [position.name for position in positions] == ["series 5, 6, 7, 8", "series 1, 2, 3, 4"]
    assert [(flag.code, flag.severity) for flag in flags] == [("duplicate-station", "warning")] * 2


def test_of_two_scans_after_an_agent_the_newer_is_kept() -> None:
    both = [*station(0, agent="description"), *station(0, agent="ContrastBolusAgent", acquired=LATER)]
    positions, _ = find_positions(both)
    assert positions[0].name == "series 101, 102, 103, 104"


def test_a_study_after_an_agent_is_flagged_once_and_a_mixed_one_names_the_stations() -> None:
    (whole,) = agent_flags([station(0, agent="ContrastBolusAgent"), station(1, agent="ContrastBolusAgent")])
    assert whole.severity == "warning" and whole.message.startswith("All stations")
    (some,) = agent_flags([station(0), station(1, agent="description")])
    assert "Some stations" in some.message and "description: series 5, 6, 7, 8" in some.message
    assert agent_flags([station(0), station(1)]) == []
