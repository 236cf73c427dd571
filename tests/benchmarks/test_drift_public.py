"""Public series are read as they are labelled; day-level figures are what their names say."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.drift import public
from benchmarks.drift.public import Count, Labelled, cloud_monitoring, nab, petshop

START = datetime(2024, 1, 1, tzinfo=UTC)
DATA = Path(__file__).parents[2] / "../shared/data"


def labelled(values: list[float]) -> Labelled:
    """One value a day, none of them positive."""
    n = len(values)
    return Labelled("s", ("mean",), tuple(range(n)), tuple((v,) for v in values), (False,) * n)


def test_precision_recall_f1_and_false_alarms_are_of_days() -> None:
    """Three hits, one miss, two false alarms of ten negative days."""
    count = Count(hits=3, misses=1, false=2, quiet=8)
    assert count.precision == pytest.approx(0.6)
    assert count.recall == pytest.approx(0.75)
    assert count.f1 == pytest.approx(2 * 0.6 * 0.75 / 1.35)
    assert count.false_a_month == pytest.approx(6.0)


def test_a_day_has_its_mean_percentile_and_maximum() -> None:
    """Of the UTC day; a day without a point is a gap, one labelled point makes it positive."""
    points = [(START + timedelta(hours=h), float(h), h == 3) for h in range(4)]
    points.append((START + timedelta(days=2), 9.0, False))
    found = public.daily("s", points)
    assert found.days == (0, 2)
    assert found.values[0] == pytest.approx((1.5, 2.85, 3.0))
    assert found.positive == (True, False)


def test_nab_days_are_positive_where_a_window_touches_them(tmp_path: Path) -> None:
    """A window over midnight makes two days positive."""
    (tmp_path / "labels").mkdir()
    (tmp_path / "data").mkdir()
    window = ["2024-01-02 23:00:00.000000", "2024-01-03 01:00:00.000000"]
    (tmp_path / "labels" / "combined_windows.A.json").write_text(json.dumps({"a.csv": [window]}))
    hours = [f"{START + timedelta(hours=h):%Y-%m-%d %H:%M:%S},{h}\n" for h in range(96)]
    (tmp_path / "data" / "a.csv").write_text("timestamp,value\n" + "".join(hours))
    (found,) = nab(tmp_path)
    assert found.positive == (False, True, True, False)


def test_microsofts_days_are_positive_where_a_point_is_labelled(tmp_path: Path) -> None:
    """Times with and without a zone; empty values are left out."""
    (tmp_path / "kind").mkdir()
    rows = ['"2024-01-01T00:00:00Z",1,0', "2024-01-02 05:00:00,2,1", "2024-01-02,,0"]
    (tmp_path / "kind" / "a.csv").write_text("\n".join(["TimeStamp,Value,Label", *rows]))
    (found,) = cloud_monitoring(tmp_path)
    assert (found.name, found.days, found.positive) == ("a", (0, 1), (False, True))


def test_an_issue_follows_the_calm_steps_of_its_time_of_day(tmp_path: Path) -> None:
    """Two issue steps after the calm ones that end before their time of day."""
    heads = ["microservice,PetSite", "metric,latency", "statistic,Average"]

    def write(folder: Path, rows: list[tuple[int, float]]) -> None:
        folder.mkdir(parents=True)
        lines = [*heads, *(f"{t},{v}" for t, v in rows)]
        (folder / "metrics.csv").write_text("\n".join(lines))

    write(tmp_path / "noissue", [(86_400 + 300 * i, 1.0 + i) for i in range(40)])
    write(tmp_path / "test" / "issue_0", [(10 * 86_400 + 300 * 20, 50.0), (870_300, 60.0)])
    target = {"target": {"node": "PetSite", "metric": "latency", "agg": "Average"}}
    (tmp_path / "test" / "issue_0" / "target.json").write_text(json.dumps(target))
    (found,) = petshop(tmp_path)
    assert found.values[-3:] == ((20.0,), (50.0,), (60.0,))
    assert found.positive == (*[False] * 20, True, True)


def test_a_robust_z_score_alarms_on_what_is_far_from_the_days_before() -> None:
    """A jump after twelve calm days, either way; the first ten days are not judged."""
    calm = [10.0, 11.0, 9.0, 10.5, 9.5, 10.0] * 2
    for jump in (20.0, 0.0):
        found = public.robust_alarms(labelled([*calm, jump]))
        assert min(found) == 10
        assert [day for day, alarm in found.items() if alarm] == [12]


def test_upkeep_sees_a_public_series_as_a_measure_without_a_direction() -> None:
    """Ten times the value and a tenth of it drift; a calm day does not."""
    calm = [10.0, 10.1, 9.9, 10.05, 9.95, 10.0] * 5
    for jump in (100.0, 1.0):
        found = public.upkeep_alarms(labelled([*calm, jump]), 0.25)
        assert [day for day, alarm in found.items() if alarm] == [30]


@pytest.mark.skipif(not DATA.exists(), reason="the public data sets are not beside the checkout")
def test_the_public_sets_have_what_their_readmes_say() -> None:
    """29, 30 and 26 series; 28 of Microsoft's with an anomaly, 6 NAB files + 5 without any."""
    numenta, cloud = list(nab(DATA / "nab")), list(cloud_monitoring(DATA / "ms-cloud-monitoring"))
    assert (len(numenta), len(cloud)) == (29, 30)
    assert sum(any(s.positive) for s in cloud) == 28
    assert sum(not any(s.positive) for s in numenta) == 6
    assert len(list(petshop(DATA / "petshop-low-traffic"))) == 26
