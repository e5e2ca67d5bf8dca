"""What every pod runs must be the same bytes tomorrow."""

import re

from manifests.documents import Found
from manifests.render import Rendering

DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}$")
TAG = re.compile(r"[^@]*:(?P<tag>[^/:@]+)(?:@.*)?$")
MOVING = frozenset(["latest", "main", "master", "dev", "edge", "nightly", "stable"])


def moving_tag(image: str) -> str | None:
    """Return what is wrong with the tag of an image without a digest; nothing, if it names a version."""
    tag = TAG.match(image)
    if tag is None:
        return f"{image!r} has no tag"
    return f"{image!r} has the moving tag {tag['tag']}" if tag["tag"] in MOVING else None


def image_mutable(rendering: Rendering) -> Found:
    """Find images that are not pinned by a digest."""
    for pod in rendering.pods:
        for container in pod.containers:
            image = str(container.spec.get("image", ""))
            if not DIGEST.match(image):
                what = moving_tag(image) or f"{image!r} has a tag and no digest"
                yield container.where, what, "pin it as name:tag@sha256:<digest>"
