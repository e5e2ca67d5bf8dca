"""The names in a PromQL expression, as far as rules and dashboards of this project write it."""

import re

#: The labels of each metric by the name of its samples.
Exported = dict[str, set[str]]

#: What the PodMonitor adds to every sample.
TARGET = {"namespace", "inferenceservice", "pod"}
WORDS = {"and", "by", "offset", "or", "unless"}
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"


def metrics(expression: str) -> set[str]:
    """Names of the series that an expression reads."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\bby \([^)]*\)|\{[^}]*\}|\[[^]]*\]", " ", bare)
    names = set(re.findall(rf"(?<![\w:]){NAME}\b(?!\s*\()", bare))
    return names - WORDS


def labels(expression: str) -> set[str]:
    """Names of the labels that an expression selects or groups by."""
    bare = re.sub(r'"[^"]*"', "", expression)
    grouped = {name.strip() for names in re.findall(r"\bby \(([^)]*)\)", bare) for name in names.split(",")}
    return grouped | {name for chosen in re.findall(r"\{([^}]*)\}", bare) for name in re.findall(NAME, chosen)}


def unknown(expression: str, exported: Exported, recorded: set[str]) -> set[str]:
    """Names of series and labels that nobody writes."""
    series = metrics(expression)
    known = TARGET.union(*(exported.get(name, set()) for name in series))
    return (series - set(exported) - recorded) | (labels(expression) - known)
