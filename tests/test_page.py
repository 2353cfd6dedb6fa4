"""results.html and human.html: no network, every row, and both in a headless Chromium on a phone and a desktop."""

import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import binomtest

from pix2pix.checkpoint import save_generator
from pix2pix.evaluation.statistics import extremes, misjudged
from pix2pix.unet import GeneratorConfig, UNetGenerator

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CONTRAST = """() => {
  const level = text => {
    const parts = text.match(/[\\d.]+/g).slice(0, 3).map(part => part / 255);
    const linear = parts.map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const ground = element => {
    while (element) {
      const color = getComputedStyle(element).backgroundColor;
      if (!/, 0\\)$/.test(color)) return color;
      element = element.parentElement;
    }
    return "rgb(255, 255, 255)";
  };
  let worst = 21;
  for (const element of document.querySelectorAll("body *")) {
    if (![...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())) continue;
    if (element.closest("script, style")) continue;
    const style = getComputedStyle(element);
    const pair = [element.closest("svg") ? style.fill : style.color, ground(element)].map(level).sort((a, b) => b - a);
    worst = Math.min(worst, (pair[0] + 0.05) / (pair[1] + 0.05));
  }
  return worst;
}"""


@pytest.fixture
def output(run, photo_folder, tmp_path):
    """The folder of an evaluation of two generators with everything on, one of them with a hostile name."""
    Image.new("RGB", (64, 64), (200, 30, 30)).save(photo_folder / "<img src=x onerror=alert(1)>.png")
    for seed, name in enumerate(("one", "two <script>alert(2)</script>".replace("/", "_"))):
        torch.manual_seed(seed)
        network = UNetGenerator(GeneratorConfig(decoder_widths=(16, 8, 8, 8)))
        torch.nn.init.normal_(network.head.conv.bias, 0, 0.2)
        save_generator(tmp_path / f"{name}.pt", network, size=64, about={"mean_ab": [3.0, 8.0]})
    weights = sorted(tmp_path.glob("*.pt"))
    words = ("--data", photo_folder, "--cache", "cache", "--photo-size", 64, "--output", "out")
    code, _, errors = run("evaluate.py", "--weights", *weights, *words, "--protocol", "report")
    assert code == 0, errors
    assert run("evaluate.py", "--weights", weights[0], *words, "--human")[0] == 0
    return tmp_path / "out"


@pytest.fixture
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.mark.parametrize("name", ["results.html", "human.html"])
def test_nothing_is_asked_of_a_network(output, name):
    page = (output / name).read_text()
    references = re.findall(r"<[^>]*?\b(?:src|href|action)=\"?([^\">\s]+)", page)
    assert all(reference.startswith("data:image/jpeg;base64,") for reference in references)
    assert "url(" not in page and "@import" not in page
    assert not re.search(r"https?:|//[a-z]+\.|fetch\(|XMLHttp", re.sub(r"base64,[A-Za-z0-9+/=]+", "", page))
    assert len(page) < 6e6


def test_every_row_is_there_and_names_are_escaped(output):
    page = (output / "results.html").read_text()
    for row in ("gray", "mean color", "one", "two &lt;script&gt;alert(2)&lt;_script&gt;", "truth"):
        assert f'<th scope="row">{row}</th>' in page, row
        assert f"<span>{row}</span>" in page, row
    assert "two &lt;script&gt;alert(2)&lt;_script&gt; less one" in page
    assert "&lt;img src=x onerror=alert(1)&gt;.png" in page and "<img src=x" not in page and "<script" not in page
    assert "as it did" in page and "sha256" in page


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_can_be_read(output, browser, width, scheme):
    for name in ("results.html", "human.html"):
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        complaints, asked = [], []
        page.on("console", lambda message, complaints=complaints: complaints.append(message.text))
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.on("pageerror", lambda error, complaints=complaints: complaints.append(str(error)))
        page.goto((output / name).as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
        assert page.evaluate(CONTRAST) >= 4.5
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 22, 26)"
        assert dark == (scheme == "dark")
        assert complaints == [] and all(url.startswith(("file:", "data:")) for url in asked)
        page.close()


def test_people_are_asked_and_the_rate_is_right(output, browser):
    """One takes the left photo in every pair: which answers are wrong follows from the pictures themselves."""
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto((output / "human.html").as_uri())
    count = int(re.search(r"1 of (\d+)", page.inner_text("#count"))[1])
    real = page.evaluate("pairs.map(pair => pair.real)")
    assert count == 13 and 0 < sum(real) < count  # on either side
    for number in range(count):
        assert page.inner_text("#count") == f"{number + 1} of {count}"
        if number % 2:
            page.click("#left")
        else:
            page.keyboard.press("ArrowLeft")
    fooled = sum(real)  # where the real one was on the right
    interval = binomtest(fooled, count).proportion_ci(method="wilson")
    told = page.inner_text("#rate")
    assert f"{fooled} of {count}" in told
    expected = [f"{100 * share:.1f} %" for share in (fooled / count, interval.low, interval.high)]
    assert re.findall(r"[\d.]+ %", told) == [expected[0], "95 %", *expected[1:]]
    assert not page.is_visible("#pair")


def test_the_real_photo_is_where_the_page_says(output, browser, photo_folder):
    page = browser.new_page()
    page.goto((output / "human.html").as_uri())
    saturation = page.evaluate(
        """async () => { const found = [];
        for (const pair of pairs) { const row = [];
          for (const source of pair.photos) {
            const image = new Image(); image.src = source; await image.decode();
            const canvas = new OffscreenCanvas(image.width, image.height), context = canvas.getContext('2d');
            context.drawImage(image, 0, 0);
            row.push([...context.getImageData(0, 0, image.width, image.height).data]); }
          found.push(row); }
        return found; }"""
    )
    truths = []
    for path in photo_folder.rglob("*.*"):
        with Image.open(path) as image:
            truths.append(np.asarray(image.convert("RGB").resize((64, 64), Image.Resampling.BICUBIC)).astype(float))
    for pair, side in zip(saturation, page.evaluate("pairs.map(pair => pair.real)"), strict=True):
        shown = [np.array(pixels, dtype=float).reshape(64, 64, 4)[..., :3] for pixels in pair]
        nearest = [min(np.abs(photo - truth).mean() for truth in truths) for photo in shown]
        assert nearest[side] < nearest[1 - side]


def test_people_are_shown_the_same_for_the_same_seed(run, output, photo_folder, tmp_path):
    words = ("--data", photo_folder, "--cache", "cache", "--photo-size", 64, "--human", "--weights", "one.pt")
    for name, seed in (("again", 98), ("other", 99)):
        assert run("evaluate.py", *words, "--output", name, "--seed", seed)[0] == 0
    first, again, other = ((tmp_path / name / "human.html").read_bytes() for name in ("out", "again", "other"))
    assert first == again and first != other


def test_one_generator_at_a_time_for_people(run, refused, output, tmp_path):
    both = sorted(tmp_path.glob("*.pt"))
    assert run("evaluate.py", "--human", "--weights", *both)[0] == 2
    assert run("evaluate.py", "--human", "--frechet")[0] == 2
    (tmp_path / "grays").mkdir()
    Image.new("RGB", (64, 64), (90, 90, 90)).save(tmp_path / "grays" / "gray.png")
    words = ("--weights", both[0], "--data", "grays", "--cache", "cache", "--photo-size", 64)
    assert "near-gray" in refused("evaluate.py", "--human", *words)


def test_the_photos_that_ssim_misjudges():
    """Eight photos: in the lowest quarter of SSIM number 5 gains most, in the highest number 2 loses."""
    similarity = torch.tensor([0.90, 0.91, 0.99, 0.92, 0.70, 0.71, 0.98, 0.93], dtype=torch.float64)
    gain = torch.tensor([1.0, 1, -3, 1, 0.5, 9, 2, 12], dtype=torch.float64)
    gray = torch.full_like(gain, 20)
    scores = {"gray": {"psnr": gray}, "model": {"psnr": gray + gain, "ssim": similarity}}
    assert misjudged(scores, "model") == {"low SSIM, colours right": [5, 4], "high SSIM, colours wrong": [2, 6]}


def test_best_median_and_worst():
    values = np.array([3.0, np.nan, 1.0, 5.0, 2.0, 4.0, 7.0, 6.0, 8.0])
    assert extremes(values, 1, 2) == {"best": [8, 6], "median": [3, 5], "worst": [1, 2]}
    assert extremes(values, -1, 1) == {"best": [2], "median": [3], "worst": [1]}
    assert extremes(np.array([-0.5, 3.0, -9.0]), 0, 1) == {"best": [0], "median": [1], "worst": [2]}
    assert extremes(np.array([1.0]), 1, 3) == {"best": [0], "median": [], "worst": []}
