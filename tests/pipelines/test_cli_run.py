"""``slipway run`` refuses, in one line and before anything is made, what it could not do."""

import pytest


def test_an_engine_that_does_not_answer_is_named(slipway, tmp_path):
    nowhere = {"DOCKER_HOST": f"unix://{tmp_path}/none.sock", "SLIPWAY_HOME": str(tmp_path / "home")}
    done = slipway("run", "configs/digits.yaml", "--runner", "docker", **nowhere)
    assert (done.code, done.out) == (2, "")
    place = nowhere["DOCKER_HOST"]
    assert done.err.startswith(f"slipway: no container engine answers at {place} (No such file or directory); start")


@pytest.mark.parametrize("option", ["--image=slipway/component:1", "--cpu=1", "--memory=1G"])
def test_what_is_about_containers_is_refused_without_them(slipway, option):
    done = slipway("run", "configs/digits.yaml", option)
    assert (done.code, done.out) == (2, "")
    assert f"{option.partition('=')[0]} is about containers" in done.err
