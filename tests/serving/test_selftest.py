import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

from modelpackage import GoldenError, load
from modelpackage.format import FORMAT
from serving.__main__ import main
from serving.selftest import SAMPLE, SelfTestError, ask_grpc, ask_rest

ROOT = Path(__file__).parents[2]
RESEAL = "rm -r serving/sample && PYTHONPATH=.:tests/support python -c \"import tiny; tiny.seal('serving/sample')\""


def test_the_sample_is_whole_and_current():
    assert load(SAMPLE).descriptor.format == FORMAT, RESEAL


def test_the_sample_answers_what_the_tiny_model_answers():
    golden = load(SAMPLE).golden()
    assert golden.outputs["probabilities"] == pytest.approx(tiny.answers(golden.inputs["image"])), RESEAL


def test_the_sample_stays_small():
    assert sum(path.stat().st_size for path in SAMPLE.iterdir()) < 10_000


def test_it_passes_in_one_line(capfd):
    assert main(["--self-test"], os.environ) == 0
    said, errors = capfd.readouterr()
    assert re.fullmatch(rf"self-test passed in [\d.]+ s: tiny sha256:{load(SAMPLE).digest[:12]} .+\n", said)
    assert errors == ""


@pytest.mark.parametrize("kind", ["table", "pictured"])
def test_it_takes_a_package_of_your_own(kind, request, capfd):
    package = request.getfixturevalue(kind)
    assert main(["--self-test", "--package", str(package.path)], os.environ) == 0
    assert f"{package.descriptor.name} sha256:{package.digest[:12]}" in capfd.readouterr().out


def test_settings_of_the_server_around_it_do_no_harm(capfd):
    assert main(["--self-test"], {**os.environ, "SLIPWAY_HTTP_PORT": "1", "SLIPWAY_DIGEST": "0" * 64}) == 0
    assert capfd.readouterr().err == ""


def test_a_damaged_package_fails_in_one_line(sealed, place, capfd):
    shutil.copytree(sealed.path, place)
    (place / "model.onnx").write_bytes(b"")
    assert main(["--self-test", "--package", str(place)], os.environ) == 1
    said, errors = capfd.readouterr()
    assert re.fullmatch(r"self-test failed: .*changed: model\.onnx.*\n", errors)
    assert said == ""


def test_a_server_that_does_not_start_fails_with_its_own_words(place, capfd):
    golden = tiny.Golden(inputs={"image": tiny.rows()}, outputs={"probabilities": 1 - tiny.answers(tiny.rows())})
    package = tiny.seal(place, golden=golden)
    assert main(["--self-test", "--package", str(package.path)], os.environ) == 1
    assert "self-test failed: the server did not start: " in capfd.readouterr().err


def test_answers_of_another_package_are_noticed_over_rest(server, place):
    other = tiny.seal(place, metrics={"accuracy": 0.5})
    with pytest.raises(SelfTestError, match="REST answered for another package"):
        ask_rest(other, server.ready["http_port"])


def test_a_refusal_is_noticed_over_rest(server, place):
    with pytest.raises(SelfTestError, match="REST answered 404"):
        ask_rest(tiny.seal(place, name="other"), server.ready["http_port"])


def test_other_answers_are_noticed_over_grpc(server, place):
    golden = tiny.Golden(inputs={"image": tiny.rows()}, outputs={"probabilities": 1 - tiny.answers(tiny.rows())})
    with pytest.raises(GoldenError, match="differs from the sealed one"):
        ask_grpc(tiny.seal(place, golden=golden), server.ready["grpc_port"])


def test_it_needs_nothing_of_the_working_directory(tmp_path):
    done = subprocess.run(
        [sys.executable, "-P", "-m", "serving", "--self-test"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
