"""The page to try the model and the viewer of the API's description: static files, held in memory.

The browser is told to load nothing from anywhere else. Knows no model: the page asks the server what it serves. May be
imported by ``serving.rest`` alone.
"""

from collections.abc import Mapping
from importlib.resources import files
from typing import NamedTuple

CACHED = "public, max-age=86400"
#: The page changes with the server, so a browser asks each time.
FRESH = "no-cache"
MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "png": "image/png",
}
VIEWER = ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png")


class Asset(NamedTuple):
    """One static answer to GET.

    Attributes:
        body: The content, unencoded.
        media_type: For Content-Type.
        headers: All further ones.
    """

    body: bytes
    media_type: str
    headers: Mapping[str, str]


def page() -> dict[str, Asset]:
    """Return the page to try the model, by path."""
    return {
        "/": _own("page.html", _headers(FRESH)),
        "/page.css": _own("page.css", _headers(FRESH)),
        "/page.js": _own("page.js", _headers(FRESH)),
    }


def docs() -> dict[str, Asset]:
    """Return the viewer of ``/openapi.json``, by path; its scripts come from the package swagger_ui_bundle."""
    from swagger_ui_bundle import swagger_ui_path  # type: ignore[import-untyped]  # has no type information

    # The viewer writes style attributes; scripts stay strict.
    headers = _headers(FRESH, style="'self' 'unsafe-inline'")
    viewer = {
        f"/docs/{name}": Asset((swagger_ui_path / name).read_bytes(), _media_type(name), _headers(CACHED))
        for name in VIEWER
    }
    return {"/docs": _own("docs.html", headers), "/docs/docs.js": _own("docs.js", headers), **viewer}


def _own(name: str, headers: Mapping[str, str]) -> Asset:
    return Asset((files(__name__) / name).read_bytes(), _media_type(name), headers)


def _media_type(name: str) -> str:
    return MEDIA_TYPES[name.rsplit(".", 1)[1]]


def _headers(cache: str, *, style: str = "'self'") -> dict[str, str]:
    policy = (
        f"default-src 'none'; script-src 'self'; style-src {style}; img-src 'self' data: blob:; connect-src 'self'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": cache,
    }
