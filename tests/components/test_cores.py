"""The cores that a process may use, from files of a cgroup."""

import os

import pytest

from components.cores import cores


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "50000 100000"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "25000", "cpu/cpu.cfs_period_us": "100000"}, 0.25),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu.max": "99900000 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
    ids=["v2", "v1", "v2-unlimited", "more-than-there-are", "v1-unlimited", "no-cgroup"],
)
def test_cores_are_what_the_cgroup_allows_of_those_the_process_may_run_on(tmp_path, files, expected):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content + "\n")
    assert cores(tmp_path) == (len(os.sched_getaffinity(0)) if expected is None else expected)
