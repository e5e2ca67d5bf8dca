"""No secret stands in a manifest, for it would stand in Git and in whatever renders it."""

import re

from manifests.documents import Found, at, kind_of, listed, texts, where
from manifests.render import Rendering

SECRET_NAME = re.compile(
    r"PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|(?:^|[_.-])KEY(?:$|[_.-](?!FILE|PATH))", re.IGNORECASE
)
#: Values that point to a secret, or say whether there is one, and are none.
HARMLESS = re.compile(r"\s*|/.*|\$\(.+\)|\$\{.+\}|\w+://.*|true|false|\d{1,5}", re.IGNORECASE)
USER_IN_URL = re.compile(r"\b\w[\w+.-]*://[^\s/:@'\"]+:(?P<password>[^\s/@'\"]+)@")
FLAG = re.compile(r"--?(?P<name>[\w-]+)=(?P<value>.*)", re.DOTALL)

#: How a shell, Kubernetes, a template and a format begin what stands for something else.
PLACEHOLDERS = ("$", "{", "%")

REMEDY = "take it from a Secret that is made on the cluster"


def secret_plain(rendering: Rendering) -> Found:
    """Find Secrets with their contents, secrets in variables, settings and arguments, and URLs with a password."""
    for secret in rendering.of("Secret"):
        if held := sorted(at(secret, "data") | at(secret, "stringData")):
            yield where(secret), f"holds {', '.join(held)}", "make it on the cluster, or with an ExternalSecret"
    for settings in rendering.of("ConfigMap"):
        for name, value in at(settings, "data").items():
            if looks_secret(name, value):
                yield where(settings), f"holds {name}", REMEDY
    for container in (container for pod in rendering.pods for container in pod.containers):
        for what in literal_secrets(container.spec):
            yield container.where, what, REMEDY
    yield from _urls(rendering)


def _urls(rendering: Rendering) -> Found:
    for document in (document for document in rendering.documents if kind_of(document) != "Secret"):
        for path, text in texts(document):
            if any(not match["password"].startswith(PLACEHOLDERS) for match in USER_IN_URL.finditer(text)):
                yield where(document), f"{path} has a URL with a password", REMEDY


def looks_secret(name: str, value: object) -> bool:
    """Return whether a variable is named as a secret is, and holds more than a path or a reference."""
    return bool(SECRET_NAME.search(name)) and "PUBLIC" not in name.upper() and not HARMLESS.fullmatch(str(value))


def literal_secrets(container: dict[str, object]) -> list[str]:
    """Return the secrets that a container's variables and arguments say outright."""
    found = [
        f"variable {variable['name']} has a literal value"
        for variable in listed(container, "env")
        if looks_secret(str(variable.get("name")), variable.get("value") or "")
    ]
    for argument in (*listed(container, "command"), *listed(container, "args")):
        flag = FLAG.fullmatch(str(argument))
        if flag and looks_secret(flag["name"].replace("-", "_"), flag["value"]):
            found.append(f"argument --{flag['name'].lstrip('-')} has a literal value")
    return found
