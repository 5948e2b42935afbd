"""What there is to choose from: projects with their newest usable snapshot, and the snapshots of one."""

import pytest

from messages.errors import IbStreamError
from services.base.settings import Settings
from services.planner.catalogue import MAX_SNAPSHOTS, Catalogue
from services.planner.database import Database
from tests.unit.planner.test_sources import Tables


def catalogue(settings: Settings) -> Catalogue:
    return Catalogue(settings, Database(settings.database, 5.0))


def test_projects_come_with_the_snapshot_that_a_start_would_stream(tmp_path):
    tables = Tables(tmp_path)
    tables.add("projects", (1, "Momentum", 0), (2, "Carry", 1), (3, "Empty", 0))
    tables.snapshot(10, "symbol\nSPY\n", date="2026-01-04")
    tables.snapshot(11, "symbol\nSPY\nbrk b\nBRK.B\n???\n", date="2026-01-05 00:00:00")
    tables.snapshot(12, "symbol\nSPY\n", status="failed", date="2026-01-06")
    momentum, carry, empty = catalogue(tables.settings).projects().projects
    assert (momentum.id, momentum.name, momentum.archived) == (1, "Momentum", False)
    assert momentum.snapshot is not None
    assert (momentum.snapshot.id, momentum.snapshot.date, momentum.snapshot.count) == (11, "2026-01-05", 2)
    assert carry.archived
    assert empty.snapshot is None


def test_snapshots_come_newest_first_with_what_is_wrong_with_them(tmp_path):
    tables = Tables(tmp_path)
    tables.add("projects", (1, "Momentum", 0))
    tables.snapshot(10, "symbol\nSPY\n", date="2026-01-04")
    tables.snapshot(11, None, date="2026-01-05")
    tables.snapshot(12, "symbol\nSPY\n", status="failed", date=None)
    found = catalogue(tables.settings).snapshots(1)
    assert [(s.id, s.date, s.usable, s.count) for s in found.snapshots] == [
        (11, "2026-01-05", True, None),
        (10, "2026-01-04", True, 1),
        (12, None, False, None),
    ]
    assert "is missing" in (found.snapshots[0].problem or "")
    assert not found.more


def test_lists_are_bounded_and_say_so(tmp_path):
    tables = Tables(tmp_path)
    tables.add("projects", (1, "Momentum", 0))
    for number in range(1, MAX_SNAPSHOTS + 2):
        tables.snapshot(number, None, status="failed")
    found = catalogue(tables.settings).snapshots(1)
    assert (len(found.snapshots), found.more) == (MAX_SNAPSHOTS, True)
    assert found.snapshots[0].id == MAX_SNAPSHOTS + 1


@pytest.mark.parametrize("number", [2, 0, -1, 1 << 70])
def test_the_snapshots_of_no_project(tmp_path, number):
    tables = Tables(tmp_path)
    tables.add("projects", (1, "Momentum", 0))
    with pytest.raises(IbStreamError) as caught:
        catalogue(tables.settings).snapshots(number)
    assert (caught.value.code, caught.value.field) == ("project_not_found", "project_id")
