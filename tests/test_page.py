"""results.html and human.html: no network, every row, and both in a headless Chromium on a phone and a desktop."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from pix2pix.color import lab_to_rgb_in_gamut
from pix2pix.data.cache import PhotoSet
from pix2pix.data.dataset import ColorizationDataset
from pix2pix.data.photos import Photo
from pix2pix.evaluation.fooling import write_fooling_page
from pix2pix.evaluation.methods import Batch, Method, constant_method, gray_method
from pix2pix.evaluation.outputs import write_outputs
from pix2pix.evaluation.report_protocol import ReportProtocol
from pix2pix.evaluation.results import Results
from pix2pix.evaluation.scoring import score_batch
from pix2pix.evaluation.statistics import summarize

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


def colored(name, share):
    """A method that knows the true colors and gives `share` of them."""
    return Method(name, lambda batch: lab_to_rgb_in_gamut(batch.lightness, share * batch.ab), bases=("gray",))


@pytest.fixture(scope="module")
def photo_set(real_photos):
    """Thirteen photos of 64x64, one of them with a hostile name."""
    names = ["<img src=x onerror=alert(1)>.png", *(f"{number}.png" for number in range(12))]
    images = [Image.new("RGB", (64, 64), (200, 30, 30)), *map(Image.fromarray, real_photos)]
    pixels = np.stack([np.asarray(image.resize((64, 64), Image.Resampling.BICUBIC)) for image in images])
    return PhotoSet([Photo(name, name) for name in names], 64, frozenset(), {}, pixels)


@pytest.fixture(scope="module")
def output(tmp_path_factory, photo_set):
    """The folder of an evaluation of two methods with everything on, one of them with a hostile name."""
    folder = tmp_path_factory.mktemp("evaluation")
    names = ["one", "two <script>alert(2)</script>"]
    methods = [gray_method(), constant_method([3.0, 8.0]), colored(names[0], 0.5), colored("one, 1 point", 0.6)]
    methods.append(colored(names[1], 1.3))
    dataset = ColorizationDataset(photo_set)
    batch = Batch.of(torch.stack([dataset[number] for number in range(len(dataset))]), range(len(dataset)))
    scores = score_batch(batch, methods, [ReportProtocol({}, strength=1.0).score])
    pairs = [(method.name, base) for method in methods for base in method.bases] + [(names[1], names[0])]
    model = {"weights": "file.pt", "network_size": 64, "sha256": "0123"}
    results = Results(
        protocol={"models": [{"name": name, **model} for name in names], "photos": 13, "versions": {"torch": "2"}},
        summary=summarize(scores, pairs, seed=0),
        scores=scores,
        distances={method.name: 1.5 for method in methods},
        curves={"one": [(0, "one"), (1, "one, 1 point")]},
        models=names,
        photos=[photo.name for photo in photo_set.photos],
    )
    write_outputs(folder, results, dataset, methods, torch.device("cpu"))
    write_fooling_page(folder / "human.html", photo_set, methods[2], torch.device("cpu"), seed=98)
    return folder


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
    for row in ("gray", "mean color", "one", "two &lt;script&gt;alert(2)&lt;/script&gt;", "truth"):
        assert f'<th scope="row">{row}</th>' in page, row
        assert f"<span>{row}</span>" in page, row
    assert "two &lt;script&gt;alert(2)&lt;/script&gt; less one" in page
    assert "&lt;img src=x onerror=alert(1)&gt;.png" in page and "<img src=x" not in page and "<script" not in page
    assert '<th scope="row">one, 1 point</th>' in page and "over the number of points" in page
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
