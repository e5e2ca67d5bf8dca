"""The verdict, the report and its figures."""

import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from stages import DIGITS, run_stages

from components.config import Gate, read_config
from components.evaluate import Evaluation, decide, evaluate
from components.graph import run_graph

CURVES = ("throughput", "loss-and-gradient-norm", "machine")


def test_the_forest_reads_digits(forest_run):
    assert forest_run.evaluation.metrics["accuracy"] > 0.93
    assert forest_run.evaluation.verdict == "passed"
    assert Evaluation.open(forest_run.evaluation_path) == forest_run.evaluation


@pytest.mark.parametrize(
    ("minimum", "verdict"), [(0.9, "passed"), (0.95, "passed"), (0.951, "refused"), (1.0, "refused")]
)
def test_the_gate_says_yes_at_its_threshold_and_no_below(minimum, verdict):
    measured = {"accuracy": 0.95, "accuracy_low": 0.91, "accuracy_high": 0.98}
    assert decide(Gate(minimum=minimum), measured)[0] == verdict


def test_the_gate_can_ask_for_the_lower_end_of_the_interval():
    measured = {"accuracy": 0.95, "accuracy_low": 0.91, "accuracy_high": 0.98}
    verdict, reason = decide(Gate(metric="accuracy_low", minimum=0.92), measured)
    assert verdict == "refused"
    assert reason.startswith("accuracy_low 0.9100 is below the gate's minimum 0.9200")


def test_a_refused_model_still_gets_its_whole_report(forest_run, tmp_path):
    config = read_config(DIGITS, ["train.trees=40", "gate.minimum=1"])
    evaluation = evaluate(config, forest_run.splits, forest_run.model, tmp_path / "evaluation")
    assert evaluation.verdict == "refused"
    assert "refused" in (tmp_path / "evaluation" / "report.html").read_text()


TOOK = {"seconds": 5400.0, "device": "NVIDIA H200", "gpus": 1, "processes": 1, "cores": 8.0, "memory_gb": 6.5}
POINT = {"rows_per_second": 20_000.0, "step_seconds": 0.01, "loss": 0.5, "gradient_norm": 1.0}


def trained(run, folder, usage):
    """Copy what training wrote, with an account of a longer one."""
    model = folder / "model"
    shutil.copytree(run.model, model)
    (model / "took.json").write_text(json.dumps(TOOK))
    pace = [POINT | {"step": 20 * number, "seconds": 9.0 * number} for number in range(1, 600)]
    (model / "pace.json").write_text(json.dumps(pace))
    (model / "usage.json").write_text(json.dumps(usage))
    return model


def test_the_report_tells_what_training_took_and_cost(forest_run, tmp_path, capsys):
    sample = {"cpu_percent": 310.0, "memory_mb": 6400.0, "gpu_percent": 92.0, "gpu_memory_mb": 70_000.0}
    model = trained(forest_run, tmp_path, [sample | {"seconds": 9.0 * number} for number in range(600)])
    config = read_config(DIGITS, ["train.trees=40", "prices.gpu=2.5", "prices.cpu=0.04"])
    evaluate(config, forest_run.splits, model, tmp_path / "evaluation")
    report = (tmp_path / "evaluation" / "report.html").read_text()
    assert "<td>1 h 30 min</td>" in report and "<td>20,000</td>" in report
    assert "1.5 h x (8 cores x 0.04 + 1 GPU x 2.5) = 4.23 USD" in report
    assert "To see what it cost" not in report
    assert "training took 1 h 30 min on NVIDIA H200 and cost 4.23 USD" in capsys.readouterr().out
    drawn = {name: (tmp_path / "evaluation" / "figures" / f"{name}.svg").read_text() for name in CURVES}
    assert ">rows per second<" in drawn["throughput"]
    assert ">gradient norm<" in drawn["loss-and-gradient-norm"]
    assert ">GPU memory<" in drawn["machine"] and ">GPU in %<" in drawn["machine"] and ">hours<" not in drawn["machine"]
    assert report.count("<figcaption>Machine</figcaption>") == 1


def test_without_prices_the_report_says_in_one_line_how_to_set_them(forest_run, tmp_path):
    usage = [{"seconds": float(number), "cpu_percent": 99.0, "memory_mb": 100.0} for number in range(5)]
    evaluate(forest_run.config, forest_run.splits, trained(forest_run, tmp_path, usage), tmp_path / "evaluation")
    report = (tmp_path / "evaluation" / "report.html").read_text()
    assert report.count("To see what it cost, set what an hour costs") == 1
    machine = (tmp_path / "evaluation" / "figures" / "machine.svg").read_text()
    assert ">seconds<" in machine and "GPU" not in machine


def test_training_that_left_no_account_has_no_section_in_the_report(forest_run, tmp_path):
    model = trained(forest_run, tmp_path, [])
    for name in ("took.json", "pace.json", "usage.json"):
        (model / name).unlink()
    evaluate(forest_run.config, forest_run.splits, model, tmp_path / "evaluation")
    assert "What training took" not in (tmp_path / "evaluation" / "report.html").read_text()
    assert not any((tmp_path / "evaluation" / "figures" / f"{name}.svg").exists() for name in CURVES)


def test_batches_do_not_change_an_answer(forest_run, monkeypatch):
    graph, test = (forest_run.model / "graph.onnx").read_bytes(), forest_run.splits.part("test")
    whole = run_graph(graph, [test.inputs()])
    monkeypatch.setattr("components.dataset.BATCH_VALUES", 7 * 64)
    np.testing.assert_allclose(run_graph(graph, test.batches()), whole, atol=1e-6)


def test_slices_and_rows_that_were_mistaken_are_in_the_report_of_a_table(tmp_path):
    path = tmp_path / "towns.csv"
    random = np.random.default_rng(0)
    lines = [
        f"{random.normal():.3f},{('Bern', 'Basel')[row % 2]},{'yes' if random.random() < 0.4 else 'no'}"
        for row in range(400)
    ]
    path.write_text("\n".join(["age,town,churned", *lines]) + "\n")
    config = tmp_path / "towns.yaml"
    config.write_text(
        f"name: towns\ndata: {{source: {path}, label: churned, slices: [town]}}\n"
        "train: {model: logistic_regression}\ngate: {minimum: 0.1}\n"
    )
    run = run_stages(tmp_path / "run", path=config)
    slices = run.evaluation.slices["town"]
    assert set(slices) == {"Bern", "Basel"}
    assert sum(values["rows"] for values in slices.values()) == run.evaluation.metrics["test_rows"]
    text = (run.evaluation_path / "report.html").read_text()
    assert "By town" in text
    assert "Most confident mistakes" in text


class Outside(HTMLParser):
    """Collects everything that a page would fetch, and whether its tags are balanced."""

    def __init__(self):
        super().__init__()
        self.fetched, self.ids = [], []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.fetched += [values[name] for name in ("src", "href", "xlink:href") if name in values]
        self.fetched += [tag] if tag in ("script", "link", "iframe") else []
        self.ids += [values["id"]] if "id" in values else []


def test_the_report_needs_nothing_but_itself(forest_run):
    text = (forest_run.evaluation_path / "report.html").read_text()
    page = Outside()
    page.feed(text)
    assert [reference for reference in page.fetched if not reference.startswith(("#", "data:"))] == []
    assert {reference[1:] for reference in page.fetched if reference.startswith("#")} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert set(re.findall(r"<figcaption>([^<]+)", text)) == {
        "Confusion matrix",
        "Calibration",
        "Most confident mistakes",
    }
    assert f"{forest_run.evaluation.metrics['accuracy']:.4f}" in text
    assert forest_run.splits.rows.digest in text


def test_a_network_has_a_learning_curve(tmp_path):
    run = run_stages(tmp_path, "train.model=mnist_cnn", "train.epochs=2")
    assert (run.evaluation_path / "figures" / "learning-curve.svg").exists()
    assert "Learning curve" in (run.evaluation_path / "report.html").read_text()


def test_names_in_the_report_are_text_and_never_markup(forest_run, tmp_path):
    splits = forest_run.splits
    hostile = tuple(f"<script>{label}</script>" for label in splits.rows.labels)
    original = splits.rows
    splits.rows = original.model_copy(update={"labels": hostile})
    try:
        evaluate(forest_run.config, splits, forest_run.model, tmp_path / "evaluation")
    finally:
        splits.rows = original
    assert "<script>" not in (tmp_path / "evaluation" / "report.html").read_text()
