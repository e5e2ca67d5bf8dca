"""A step's own error, found in what runners print around it."""

import pytest

from pipelines.errors import error_of, killed

RAISED = """\
epoch 1
Traceback (most recent call last):
  File "steps.py", line 1, in train
    fit()
KeyError: 'first'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "steps.py", line 2, in train
    raise
{}
F1121 main.go:59] failed to execute component: exit status 1
"""


@pytest.mark.parametrize(
    "exception",
    [
        "ValueError: NaN",
        "StopIteration",
        "subprocess.TimeoutExpired: after 3 s",
        "runtime.state.Fail: [ONNX] no such node",
    ],
)
def test_the_last_exception_is_the_error_whatever_it_is_called_and_whatever_follows(exception):
    assert error_of(RAISED.format(exception)) == exception


def test_indentation_and_colours_of_a_runner_do_no_harm():
    printed = "".join(f"\x1b[91m    {line}\x1b[0m\n" for line in RAISED.format("OSError: gone").splitlines())
    assert error_of(printed) == "OSError: gone"


def test_what_the_step_says_itself_comes_first():
    assert error_of("  [slipway] error: the loss is not a number\n" + RAISED.format("ValueError")) == (
        "the loss is not a number"
    )


def test_without_either_it_is_the_last_line_and_an_empty_log_says_so():
    assert error_of("epoch 1\nKilled\n\n") == "Killed"
    assert error_of("\n \n") == "it printed nothing"


def test_a_killed_step_is_told_the_batch_size_to_try_where_it_has_one():
    told = killed({"train": {"batch_size": 64.0}})
    assert told.startswith("it was killed; run it again to go on from its last checkpoint. Where memory ran out")
    assert "try train.batch_size=32, and with --runner docker" in told
    for small in ({}, {"train": {"trees": 7}}, {"train": {"batch_size": 2}}):
        assert killed(small).endswith("memory runs out; with --runner docker, --memory allows more")
