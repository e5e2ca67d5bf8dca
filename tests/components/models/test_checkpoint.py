"""Checkpoints: whole or passed over, two at most, none at the end; and a store that refuses costs no training."""

import os
import signal

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
from components.errors import Stopped  # noqa: E402 (beside the others)
from components.models import checkpoint as module  # noqa: E402 (needs torch)
from components.models.checkpoint import NAME, Keeper, read  # noqa: E402 (needs torch)
from components.store import open_store  # noqa: E402 (needs torch)


def state(number: float, **notes):
    return {"weights": torch.full((3, 2), number), "steps": torch.tensor(7)}, {"note": "naïve", **notes}


def numbers(content: bytes) -> float:
    return float(read(content)[0]["weights"][0, 0])


@pytest.fixture(params=["folder", "s3"])
def uri(request, tmp_path) -> str:
    """The folder of a training in a store."""
    if request.param == "folder":
        return (tmp_path / "a store" / "model" / "key").as_uri()
    return request.getfixturevalue("bucket") + "/model/key"


def test_the_latest_state_comes_back_as_it_was_and_two_are_kept(uri):
    with Keeper(uri, 1) as keeper:
        assert keeper.latest() is None
        assert keeper.last is None
        for step in (5, 60, 700):
            keeper.keep(step, state(step, step=step), wait=True)
    names = open_store(uri).keys("")
    assert [NAME.fullmatch(name)[1] for name in names] == ["000000000060", "000000000700"]
    with Keeper(uri, 1) as keeper:
        tensors, notes = read(keeper.latest())
        assert keeper.last == f"{uri}/{names[-1]}"
        expected, said = state(700, step=700)
        assert notes == said
        assert all(torch.equal(tensors[name], value) for name, value in expected.items())
        assert tensors["steps"].dtype == torch.int64


def spoil(uri: str, key: str, scratch) -> None:
    store = open_store(uri)
    store.get(key, scratch / key)
    content = bytearray((scratch / key).read_bytes())
    content[len(content) // 2] ^= 1
    (scratch / key).write_bytes(content)
    store.put(key, scratch / key)


def test_a_damaged_checkpoint_is_told_and_the_one_before_is_used(uri, tmp_path, capsys):
    with Keeper(uri, 1) as keeper:
        for step in (1, 2):
            keeper.keep(step, state(step), wait=True)
    older, latest = open_store(uri).keys("")
    spoil(uri, latest, tmp_path)
    with Keeper(uri, 1) as keeper:
        assert numbers(keeper.latest()) == 1
        assert keeper.last == f"{uri}/{older}"
    assert capsys.readouterr().out == f"[slipway] {uri}/{latest} is damaged; going on from the one before\n"
    spoil(uri, older, tmp_path)
    with Keeper(uri, 1) as keeper:
        assert keeper.latest() is None
        assert keeper.last is None


def test_what_lies_between_checkpoints_is_none(tmp_path):
    folder = tmp_path / "key"
    folder.mkdir()
    for name in ("notes.txt", "12-0123456789abcdef.safetensors", "000000000001-0123456789abcdef.safetensors.partial"):
        (folder / name).write_text("no checkpoint")
    with Keeper(folder.as_uri(), 1) as keeper:
        assert keeper.latest() is None
        for step in (1, 2, 3):
            keeper.keep(step, state(step), wait=True)
    assert len(list(folder.iterdir())) == 3 + 2


def test_a_store_that_refuses_costs_the_checkpoint_and_nothing_else(tmp_path, capsys):
    (tmp_path / "store").touch()
    with Keeper((tmp_path / "store" / "key").as_uri(), 1) as keeper:
        assert keeper.latest() is None
        keeper.keep(7, state(7), wait=True)
        assert keeper.last is None
    told = capsys.readouterr().out
    assert told.startswith("[slipway] no checkpoint of step 7: can't write 000000000007-")
    assert told.endswith("; training goes on\n")


def test_a_bucket_that_goes_away_while_training_costs_no_model(bucket, capsys):
    from minio import Minio

    with Keeper(f"{bucket}/key", 1) as keeper:
        keeper.keep(1, state(1), wait=True)
        (name,) = open_store(bucket).keys("")
        open_store(bucket).remove(name)
        Minio(
            endpoint=os.environ["AWS_ENDPOINT_URL"].removeprefix("http://"),
            access_key=os.environ["AWS_ACCESS_KEY_ID"],
            secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
            secure=False,
        ).remove_bucket(bucket_name=bucket.removeprefix("s3://"))
        keeper.keep(2, state(2), wait=True)
    assert "[slipway] no checkpoint of step 2: " in capsys.readouterr().out


@pytest.mark.parametrize(("place", "seconds"), [(False, 60), (True, 0)], ids=["nowhere", "never"])
def test_nothing_is_kept_where_there_is_no_place_or_no_pause(tmp_path, place, seconds):
    before = signal.getsignal(signal.SIGTERM)
    with Keeper((tmp_path / "key").as_uri() if place else None, seconds) as keeper:
        assert signal.getsignal(signal.SIGTERM) is before
        assert keeper.latest() is None
        assert not keeper.due()
        keeper.keep(1, state(1), wait=True)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_is_due_after_its_seconds_when_the_one_before_is_written(tmp_path, monkeypatch):
    class Clock:
        now = 50.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    with Keeper((tmp_path / "key").as_uri(), 60) as keeper:
        clock.now += 59
        assert not keeper.due()
        clock.now += 1
        assert keeper.due()
        keeper.keep(1, state(1), wait=True)
        assert not keeper.due()
        clock.now += 60
        assert keeper.due()
        keeper._writing = module.Future()
        assert not keeper.due()
        keeper._writing.set_result(None)
        assert keeper.due()


def test_what_is_kept_is_what_was_there_at_the_call(tmp_path):
    weights = torch.zeros(1_000_000)
    with Keeper((tmp_path / "key").as_uri(), 1) as keeper:
        keeper.keep(1, ({"weights": weights}, {}))
        weights.fill_(1)
    with Keeper((tmp_path / "key").as_uri(), 1) as keeper:
        assert read(keeper.latest())[0]["weights"].sum() == 0


def test_sigterm_is_heard_within_the_block_alone(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with Keeper((tmp_path / "key").as_uri(), 1) as keeper:
        assert not keeper.stopping
        signal.raise_signal(signal.SIGTERM)
        assert keeper.stopping
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_stop_after_the_last_step_names_what_a_retry_goes_on_from(tmp_path, capsys):
    uri = (tmp_path / "key").as_uri()
    with Keeper(uri, 1) as keeper:
        keeper.heed()
        keeper.stopping = True
        with pytest.raises(Stopped):
            keeper.heed()
        keeper.keep(5, state(5))
        with pytest.raises(Stopped):
            keeper.heed()
    one, other = capsys.readouterr().out.splitlines()
    assert one == "[slipway] stopped by SIGTERM; a retry goes on from the start"
    assert other.startswith(f"[slipway] stopped by SIGTERM; a retry goes on from {uri}/000000000005-")


def test_an_older_training_of_more_steps_does_not_push_a_new_one_out(tmp_path):
    uri = (tmp_path / "key").as_uri()
    with Keeper(uri, 1) as keeper:
        for step in (7_000, 8_000, 3):
            keeper.keep(step, state(step), wait=True)
    assert [name[:12] for name in open_store(uri).keys("")] == ["000000000003", "000000008000"]


def test_of_two_checkpoints_of_the_same_step_the_later_one_is_the_latest(tmp_path):
    uri = (tmp_path / "key").as_uri()
    for number in range(8):
        with Keeper(uri, 1) as keeper:
            keeper.keep(5, state(number), wait=True)
            assert numbers(keeper.latest()) == number
