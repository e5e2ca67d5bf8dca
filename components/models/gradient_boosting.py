"""Gradient boosting of trees by scikit-learn, stopped by the validation rows and kept at its best round."""

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from components.console import say
from components.dataset import Splits
from components.models import Trained
from components.models.settings import GradientBoosting
from components.models.tabular import at_most_threads, class_weight, trained, training_rows, trees_graph

#: Below so many values a round is over before threads have met: where others want the cores too, waiting takes most.
VALUES_WORTH_THREADS = 10_000_000


def fit(settings: GradientBoosting, splits: Splits, seed: int) -> Trained:
    """Add trees until the validation loss stops falling.

    Args:
        settings: The booster's settings.
        splits: The data.
        seed: Decides the sample that bins are made from.

    Raises:
        TrainingError: A class has no training rows.
    """
    x, y = training_rows(splits)
    say(f"boosting at most {settings.iterations} rounds on {len(x)} rows of {x.shape[1]} features")
    booster = HistGradientBoostingClassifier(
        max_iter=settings.iterations,
        learning_rate=settings.learning_rate,
        max_leaf_nodes=settings.max_leaf_nodes,
        min_samples_leaf=settings.min_samples_leaf,
        l2_regularization=settings.l2,
        class_weight=class_weight(settings.class_weights),
        early_stopping=True,
        scoring="loss",
        n_iter_no_change=settings.patience,
        tol=0.0,
        random_state=seed,
    )
    held = {"X_val": splits.features("validation"), "y_val": splits.part("validation").y}
    with at_most_threads(None if x.size >= VALUES_WORTH_THREADS else 1):
        booster.fit(x, y, **held)
    # Scores are negated losses; the first is that before any round.
    scores = zip(booster.train_score_[1:], booster.validation_score_[1:], strict=True)
    history = [
        {"epoch": float(number), "train_loss": -float(learned), "loss": -float(unseen)}
        for number, (learned, unseen) in enumerate(scores, start=1)
    ]
    best = 1 + int(booster.validation_score_[1:].argmax())
    _keep(booster, best)
    say(f"kept round {best} of {len(history)}, validation loss {history[best - 1]['loss']:.4f}")
    return trained(booster, trees_graph(booster), splits, tolerance=1e-5, history=history)


def _keep(booster: HistGradientBoostingClassifier, best: int) -> None:
    """Drop the rounds after the best one, and round thresholds down to what the graph can hold.

    ``x <= t`` says the same of every float32 ``x`` after rounding ``t`` down; skl2onnx would round to the nearest.
    """
    rounds = booster._predictors  # noqa: SLF001 (scikit-learn has no public name for the trees; skl2onnx reads this too)
    del rounds[best:]
    for tree in (tree for trees in rounds for tree in trees):
        exact = tree.nodes["num_threshold"]
        nearest = exact.astype(np.float32)
        below = np.nextafter(nearest, np.float32(-np.inf))
        tree.nodes["num_threshold"] = np.where(nearest <= exact, nearest, below)
