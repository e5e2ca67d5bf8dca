"""A random forest by scikit-learn."""

from sklearn.ensemble import RandomForestClassifier

from components.console import say
from components.dataset import Splits
from components.models import Trained
from components.models.settings import RandomForest
from components.models.tabular import class_weight, trained, training_rows, trees_graph

#: Below so many rows, starting the other threads takes longer than what they save.
ROWS_WORTH_THREADS = 1000


def fit(settings: RandomForest, splits: Splits, seed: int) -> Trained:
    """Grow the forest on the training rows.

    Args:
        settings: The forest's settings.
        splits: The data.
        seed: Decides the samples and the features that each tree sees.

    Raises:
        TrainingError: A class has no training rows.
    """
    x, y = training_rows(splits)
    say(f"growing {settings.trees} trees on {len(x)} rows of {x.shape[1]} features")
    forest = RandomForestClassifier(
        n_estimators=settings.trees,
        max_depth=settings.max_depth,
        min_samples_leaf=settings.min_samples_leaf,
        max_features="sqrt" if settings.max_features is None else settings.max_features,
        class_weight=class_weight(settings.class_weights),
        random_state=seed,
        n_jobs=-1 if len(x) >= ROWS_WORTH_THREADS else 1,
    ).fit(x, y)
    # Threads add up the votes in the order in which they finish, which the last bits of an answer would show.
    forest.set_params(n_jobs=1)
    return trained(forest, trees_graph(forest), splits, tolerance=1e-5)
