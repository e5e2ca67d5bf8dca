"""Which of the two compiled pipelines a configuration needs."""

from stages import DIGITS

from components.config import read_config
from pipelines.cli_submit import pipeline_of


def test_a_sweep_has_a_pipeline_of_its_own():
    assert pipeline_of(read_config(DIGITS)).name == "training.yaml"
    assert pipeline_of(read_config(DIGITS, ["sweep.settings.trees=[1,2]"])).name == "sweep.yaml"
