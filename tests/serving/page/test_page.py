import re
import shutil
import subprocess
from collections.abc import Iterator

import browser
import httpx
import numpy as np
import pytest
import tiny
import tiny_table
from PIL import Image

from serving import page

ASKED = "!document.querySelector('#answer').hidden && !document.querySelector('#send').disabled"
REFUSED = "!document.querySelector('#error').hidden && !document.querySelector('#send').disabled"
BUILT = "!document.querySelector('#ask').hidden"
#: Labels of a model of somebody else.
MARKUP = ("<img src=x onerror='touched = true'>", "right", "none")
#: What the console says of every answer that is no 2xx.
CONSOLE_4XX = "Failed to load resource: the server responded with a status of 400 (Bad Request)"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory) -> Iterator[browser.Browser]:
    program = browser.program()
    if program is None:
        pytest.skip(f"no browser: put one of {', '.join(browser.PROGRAMS)} on the PATH")
    with browser.running(program, tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture(scope="module")
def image_url(launch, sealed) -> Iterator[str]:
    start, stop = launch
    running = start(sealed.path, "--page", "true")
    yield f"{running.http}/"
    stop(running)


@pytest.fixture(scope="module")
def table_url(launch, table) -> Iterator[str]:
    start, stop = launch
    running = start(table.path, "--page", "true")
    yield f"{running.http}/"
    stop(running)


@pytest.fixture(scope="module")
def picture_url(launch, sealed, tmp_path_factory) -> Iterator[str]:
    """A model with labels of markup, whose package says how it decodes pictures; of 2 x 2 pixels none is changed."""
    picture = {"height": 2, "width": 2, "colour": "grey", "resize": "bilinear", "background": [255, 255, 255]}
    package = tiny.seal(
        tmp_path_factory.mktemp("picture") / "package",
        preprocessing={"picture": picture},
        labels=MARKUP,
        reference=sealed.reference().model_copy(update={"classes": dict.fromkeys(MARKUP, 2)}),
    )
    start, stop = launch
    running = start(package.path, "--page", "true")
    yield f"{running.http}/"
    stop(running)


@pytest.fixture
def tab(chromium) -> Iterator[browser.Page]:
    with chromium.page() as opened:
        yield opened


@pytest.fixture
def image(tab, image_url) -> browser.Page:
    tab.open(image_url, BUILT)
    return tab


@pytest.fixture
def form(tab, table_url) -> browser.Page:
    tab.open(table_url, BUILT)
    return tab


def ask(tab, until=ASKED):
    """Press the button and wait for what it leads to."""
    tab.evaluate("document.querySelector('#label').textContent = ''")
    tab.click("#send")
    tab.wait(f"{until} && (document.querySelector('#label').textContent || !document.querySelector('#error').hidden)")


def bars(tab):
    return dict(line.split("\t") for line in tab.evaluate(
        "[...document.querySelectorAll('#bars li')].map(row => "
        "row.firstChild.textContent + '\\t' + row.lastChild.textContent).join('\\n')"
    ).splitlines())  # fmt: skip


def shares(labels, probabilities):
    return {label: f"{100 * share:.1f} %" for label, share in zip(labels, probabilities, strict=True)}


def test_it_is_small_and_names_no_other_host():
    assets = page.page()
    assert sum(len(asset.body) for asset in assets.values()) < 40_000
    for asset in assets.values():
        addresses = re.findall(rb"https?://[^'\"\s)]+", asset.body)
        assert set(addresses) <= {b"http://www.w3.org/2000/svg"}
        assert b"innerHTML" not in asset.body


def test_every_asset_is_strict():
    assert {"/", "/docs", "/docs/swagger-ui-bundle.js"} <= {*page.page(), *page.docs()}
    for asset in (page.page() | page.docs()).values():
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in asset.headers["Content-Security-Policy"]
        assert asset.headers["X-Content-Type-Options"] == "nosniff"
    for asset in page.page().values():
        assert "unsafe" not in asset.headers["Content-Security-Policy"]


def test_the_server_sends_the_assets_as_they_are(image_url):
    for path, asset in (page.page() | page.docs()).items():
        answer = httpx.get(image_url + path[1:])
        assert (answer.status_code, answer.content) == (200, asset.body)
        assert answer.headers["content-type"] == asset.media_type
        assert {name: answer.headers[name] for name in asset.headers} == asset.headers


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_drawing_is_answered(image, sealed, side):
    x = {"left": 0.25, "right": 0.75}[side]
    image.stroke("#board", [(x, 0.1), (x, 0.5), (x, 0.9)])
    ask(image)
    assert image.text("#label") == side
    assert image.text("#package") == f"sha256:{sealed.digest}"
    assert re.search(r"Confidence \d+\.\d % · \d+\.\d ms", image.text("#said"))
    assert next(iter(bars(image))) == side


def test_a_chosen_picture_is_answered(image, tmp_path):
    pixels = np.array([[255, 0], [255, 51]], np.uint8)
    Image.fromarray(pixels.repeat(40, 0).repeat(40, 1)).save(tmp_path / "picture.png")
    image.choose("#file", tmp_path / "picture.png")
    image.wait("document.querySelector('#taken').textContent")
    ask(image)
    expected = tiny.answers(pixels.astype(np.float32)[None] * 16 / 255)[0]
    assert bars(image) == shares(tiny.LABELS, expected)


def test_a_picture_goes_encoded_to_a_server_that_decodes(tab, picture_url, tmp_path):
    pixels = np.array([[16, 0], [9, 3]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    tab.open(picture_url, BUILT)
    tab.choose("#file", tmp_path / "picture.png")
    tab.wait("document.querySelector('#taken').textContent")
    ask(tab)
    assert '"datatype":"BYTES","shape":[1]' in tab.evaluate("document.querySelector('#curl').textContent")
    assert bars(tab) == shares(MARKUP, tiny.answers(pixels.astype(np.float32)[None])[0])


def test_a_dropped_file_that_is_no_picture_is_refused(image):
    image.evaluate(
        "(files => (files.items.add(new File(['x'], 'notes.txt')), document.querySelector('#zone')"
        ".dispatchEvent(new DragEvent('drop', {dataTransfer: files, cancelable: true}))))(new DataTransfer())"
    )
    image.wait(REFUSED)
    assert image.text("#error") == "The browser can't read notes.txt as a picture."


def test_a_centred_drawing_has_no_side(image):
    image.stroke("#board", [(0.25, 0.1), (0.25, 0.5), (0.25, 0.9)])
    image.click("#fit")
    ask(image)
    found = {label: float(share.split()[0]) for label, share in bars(image).items()}
    assert found["left"] == pytest.approx(found["right"], abs=1)
    assert found["none"] < found["left"] / 10


def test_the_example_of_the_package_is_answered(image, image_url):
    ask_example = httpx.get(f"{image_url}v2/models/tiny").json()["inputs"][0]["parameters"]["example"]
    image.click("#example")
    ask(image)
    expected = tiny.answers(np.array(ask_example, np.float32).reshape(1, 2, 2))[0]
    assert bars(image) == shares(tiny.LABELS, expected)


def test_nothing_drawn_is_said_and_not_sent(image):
    before = len(image.requests())
    ask(image, REFUSED)
    assert image.text("#error") == "Draw something or choose a picture."
    assert len(image.requests()) == before


def test_less_confidence_than_asked_for_abstains(image):
    image.stroke("#board", [(0.3, 0.2), (0.3, 0.4)])
    ask(image)
    assert image.text("#label") == "left"
    image.evaluate("document.querySelector('#minimum').focus()")
    image.key("End", 35)
    image.wait("document.querySelector('#label').textContent === 'Abstained'")
    assert image.text("#least") == "100 %"
    assert "less than 100.0 %" in image.text("#said")


def test_a_row_of_a_table_is_answered(form):
    assert form.evaluate("[...document.querySelectorAll('#fields label')].map(e => e.textContent)") == [
        "age",
        "visits",
        "town",
    ]
    for number, text in enumerate(("50", "", "東京")):
        form.fill(f"#field-{number}", text)
    ask(form)
    expected = tiny_table.answers()[2]
    assert bars(form) == shares(tiny_table.LABELS, expected)
    assert form.text("#label") == tiny_table.LABELS[expected.argmax()]


def test_an_error_of_the_server_is_shown_as_it_is(form, table_url):
    form.fill("#field-2", "x" * 2000)
    ask(form, REFUSED)
    row = [("age", "FP32", [None]), ("visits", "FP32", [None]), ("town", "BYTES", ["x" * 2000])]
    inputs = [{"name": name, "datatype": datatype, "shape": [1], "data": data} for name, datatype, data in row]
    refusal = httpx.post(f"{table_url}v2/models/tiny-table/infer", json={"inputs": inputs})
    assert form.text("#error") == f"HTTP 400: {refusal.json()['error']}"
    assert form.complaints() == [CONSOLE_4XX]


def test_text_of_the_server_stays_text(tab, picture_url):
    tab.open(picture_url, BUILT)
    tab.click("#example")
    ask(tab)
    assert MARKUP[0] in bars(tab)
    assert tab.evaluate("document.querySelectorAll('img').length") == 0
    assert tab.complaints() == []


def test_the_curl_command_gives_the_same_answer(form):
    ask(form)
    command = form.evaluate("document.querySelector('#curl').textContent")
    answer = subprocess.run([shutil.which("sh"), "-c", command], capture_output=True, text=True, check=True)
    assert f'"{form.text("#label")}"' in answer.stdout


def test_it_works_by_keyboard_alone(form):
    form.evaluate("document.activeElement.blur()")
    for character in "\t\t\t\t\t":  # three fields, the slider, the button
        form.key("Tab", 9, character)
    assert form.evaluate("document.activeElement.id") == "send"
    form.key("Enter", 13, "\r")
    form.wait(ASKED)


def test_nothing_leaves_the_origin_and_the_console_is_silent(image, image_url):
    image.stroke("#board", [(0.3, 0.2), (0.3, 0.4)])
    ask(image)
    assert len(image.requests()) >= 6
    assert all(url.startswith(image_url) for url in image.requests())
    assert image.complaints() == []


def test_the_viewer_of_the_api_needs_no_other_host(tab, image_url):
    tab.open(f"{image_url}docs", "document.querySelectorAll('.opblock').length > 10")
    assert all(url.startswith(image_url) for url in tab.requests())
    assert tab.complaints() == []


@pytest.mark.parametrize("url", ["image_url", "table_url"])
def test_every_control_has_a_name(tab, url, request):
    tab.open(request.getfixturevalue(url), BUILT)
    controls = tab.controls()
    assert {"slider", "button"} <= set(controls)
    assert all(name for names in controls.values() for name in names), controls


@pytest.mark.parametrize("url", ["image_url", "table_url"])
def test_it_fits_a_narrow_screen(tab, url, request):
    tab.resize(320)
    tab.open(request.getfixturevalue(url), BUILT)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(form, scheme):
    form.prefer(prefers_color_scheme=scheme)
    ask(form)
    read = "(e => [getComputedStyle(e).color, (function ground(e) {const c = getComputedStyle(e).backgroundColor;"
    read += "return c === 'rgba(0, 0, 0, 0)' ? ground(e.parentElement) : c})(e)])(document.querySelector('%s'))"
    for selector in ("h1", "#about", "#send", "#example", "#label", "#said", "#curl", "legend", "footer a"):
        ink, ground = form.evaluate(read % selector)
        assert contrast(ink, ground) >= 4.5, (selector, ink, ground)


def contrast(one, other):
    """The contrast ratio of WCAG 2 between two CSS colours."""
    lights = sorted(luminance([int(part) for part in re.findall(r"\d+", colour)[:3]]) for colour in (one, other))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour)]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))
