"""What every section of the configuration is, and how a broken rule is told: one line in the user's own words."""

import difflib
import types
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.errors import ConfigError

Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]

#: Rules that a pattern would tell in its own language.
RULES = {
    "name": "use lower-case letters, digits and dashes, at most 63, like my-digits",
    "data.checksum": "use the 64 hexadecimal digits that sha256sum prints",
}

S = TypeVar("S", bound="Section")


class Section(BaseModel):
    """The base of every section: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def validate(section: type[S], content: Mapping[str, Any], where: str = "") -> S:
    """Build a section from what YAML or JSON said.

    Args:
        section: What it shall be.
        content: As read; a pipeline parameter has floats for whole numbers.
        where: Its dotted place in the configuration, for the error.

    Raises:
        ConfigError: A rule is broken; the first one is named.
    """
    try:
        return section.model_validate(content)
    except ValidationError as error:
        raise ConfigError(_explain(error, section, where)) from None


def _explain(error: ValidationError, section: type[Section], where: str) -> str:
    found = error.errors(include_url=False)
    # A name that is not a setting explains the one that is missing.
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    path = [part for part in (where, *map(str, first["loc"])) if part]
    name = ".".join(path) or "configuration"
    if first["type"] == "extra_forbidden":
        known = _known_keys(section, first["loc"][:-1])
        close = difflib.get_close_matches(path[-1], known, n=1)
        hint = f"did you mean {'.'.join([*path[:-1], close[0]])}?" if close else f"known here: {', '.join(known)}"
        return f"{name} is not a setting; {hint}"
    if first["type"] == "string_pattern_mismatch" and name in RULES:
        return f"{name}={first['input']!r}: {RULES[name]}"
    if first["type"] == "missing":
        return f"{name} is missing"
    told = first["msg"].removeprefix("Value error, ")
    whole = first["type"] == "value_error" and isinstance(first["input"], Mapping)
    return f"{name}: {told}" if whole else f"{name}={first['input']!r}: {told}"


def _known_keys(section: Any, location: tuple[int | str, ...]) -> list[str]:
    for part in location:
        fields = getattr(section, "model_fields", {})
        section = _section_of(fields[part].annotation) if part in fields else None
    return sorted(getattr(section, "model_fields", {}))


def _section_of(annotation: Any) -> Any:
    """Return the section behind an annotation like ``Sweep | None``."""
    if get_origin(annotation) in (Union, types.UnionType):
        return next((part for part in get_args(annotation) if hasattr(part, "model_fields")), None)
    return annotation
