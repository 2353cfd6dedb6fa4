"""colorize.py --serve: the page in a headless Chromium, with real uploads; and what a client cannot make it do."""

import io
import json
import shutil
import signal
import socket
import sys
import urllib.request

import numpy as np
import pytest
import torch
from conftest import process
from PIL import Image
from skimage import data
from skimage.color import rgb2lab

from pix2pix.checkpoint import save_generator
from pix2pix.inference import Colorizer
from pix2pix.unet import GeneratorConfig, UNetGenerator
from pix2pix.web.page import MAX_PHOTOS, preview_pair

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """(address, weights, the folder its temporary files are in) of a page that is being served."""
    pytest.importorskip("gradio")
    folder = tmp_path_factory.mktemp("site")
    (folder / "temporary").mkdir()
    torch.manual_seed(0)
    network = UNetGenerator(GeneratorConfig(decoder_widths=(16, 8, 8, 8))).eval()
    torch.nn.init.normal_(network.head.conv.bias, 0, 0.3)
    save_generator(folder / "generator.pt", network, size=64, about={"stage": "pretrain"})
    port = free_port()
    words = ("--serve", "--port", port, "--weights", folder / "generator.pt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder / "temporary"))
        server = process("colorize.py", *words, cwd=folder)
    line = server.stdout.readline()
    assert line == f"open http://127.0.0.1:{port} in a browser; Ctrl-C ends it\n", line + server.stdout.read()
    yield f"http://127.0.0.1:{port}", folder / "generator.pt", folder / "temporary"
    server.send_signal(signal.SIGINT)
    server.communicate(timeout=60)
    assert server.returncode in (0, 130)
    assert not list((folder / "temporary").glob("pix2pix-*"))


@pytest.fixture
def page(site):
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as tools:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.set_default_timeout(60_000)
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(site[0])
        page.wait_for_selector("text=Strength of the colours")
        yield page
        browser.close()


def upload(page, *paths):
    page.locator("input[type=file]").first.set_input_files([str(path) for path in paths])


def said(page, text):
    """Wait until the page says `text`, and return all it says."""
    page.wait_for_function("text => document.querySelector('textarea').value.includes(text)", arg=text)
    return page.locator("textarea").first.input_value()


def chroma(pixels):
    lab = rgb2lab(pixels)
    return np.hypot(lab[..., 1], lab[..., 2])


def test_dropped_photos_are_shown_before_and_after_and_come_back_at_full_size(site, page, tmp_path):
    Image.fromarray(data.astronaut()).convert("L").save(tmp_path / "astronaut.png")
    Image.fromarray(data.coffee()).convert("L").save(tmp_path / "coffee <b>&.jpg")
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    upload(page, tmp_path / "astronaut.png", tmp_path / "coffee <b>&.jpg", tmp_path / "broken.jpg")
    told = said(page, "2 of 3 photos coloured")
    assert "broken.jpg is not a photo that can be read" in told

    page.locator("#slider img").last.wait_for()
    page.wait_for_function("[...document.querySelectorAll('#slider img')].every(i => i.complete && i.naturalWidth)")
    page.screenshot(path=tmp_path / "page.png")
    box = page.locator("#slider img").first.bounding_box()
    left, top, width, height = (round(box[side]) for side in ("x", "y", "width", "height"))
    with Image.open(tmp_path / "page.png") as image:
        seen = np.asarray(image.convert("RGB"))[top + 60 : min(top + height, 880), left : left + width]
    assert chroma(seen[:, 10 : width // 2 - 40]).mean() < 1
    assert chroma(seen[:, width // 2 + 40 : width - 10]).mean() > 5

    with page.expect_download() as download:
        page.locator("#downloads a[download]").first.click()
    assert download.value.suggested_filename == "astronaut-colorized.png"
    download.value.save_as(tmp_path / "got.png")
    with Image.open(tmp_path / "got.png") as got, Image.open(tmp_path / "astronaut.png") as photo:
        expected = Colorizer(site[1], device="cpu").colorize(photo)
        # L is measured in two ways, and bf16 makes up to two levels of the difference
        assert np.abs(np.asarray(got).astype(int) - np.asarray(expected)).max() <= 4
    assert all(url.startswith((site[0], "data:", "blob:")) for url in page.asked), page.asked


def test_the_slider_of_strength_colours_again(page, tmp_path):
    Image.fromarray(data.coffee()[::4, ::4]).convert("L").save(tmp_path / "coffee.png")
    upload(page, tmp_path / "coffee.png")
    said(page, "1 of 1 photos coloured")
    handle = page.locator("#strength input[type=range]")
    handle.focus()
    for _ in range(10):
        handle.press("ArrowLeft")
    handle.dispatch_event("pointerup")
    page.wait_for_timeout(500)

    def downloaded():
        with page.expect_download() as download:
            page.locator("#downloads a[download]").first.click()
        download.value.save_as(tmp_path / "got.png")
        with Image.open(tmp_path / "got.png") as image:
            return chroma(np.asarray(image)).mean()

    for _ in range(20):
        if downloaded() < 0.1:
            return
        page.wait_for_timeout(500)
    pytest.fail("the photo is still in colour at strength 0")


def test_too_many_photos_are_refused(page, tmp_path):
    for number in range(MAX_PHOTOS + 1):
        Image.new("L", (8, 8), number).save(tmp_path / f"{number}.png")
    upload(page, *sorted(tmp_path.glob("*.png")))
    page.wait_for_selector(f"text=drop at most {MAX_PHOTOS}")


def call(address, path):
    """Ask for a photo by its path on the server: the events that come back."""
    body = json.dumps({"data": [[{"path": str(path), "meta": {"_type": "gradio.FileData"}}], 1]}).encode()
    request = urllib.request.Request(
        f"{address}/gradio_api/call/colour", body, {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{address}/gradio_api/call/colour/{event}", timeout=60) as answer:
        return answer.read().decode()


def test_previews_of_photos_beyond_pillows_limit(tmp_path, monkeypatch):
    Image.new("RGB", (2000, 500), "red").save(tmp_path / "large.jpg")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow refuses twice as many
    contents = preview_pair(tmp_path / "large.jpg")
    monkeypatch.undo()
    assert [Image.open(io.BytesIO(content)).size for content in contents] == [(1600, 400)] * 2


def test_no_path_of_a_client_is_read(site, tmp_path):
    address, weights, temporary = site
    Image.new("L", (8, 8)).save(tmp_path / "secret.png")
    before = sorted(temporary.rglob("*secret*"))
    for path in (tmp_path / "secret.png", weights, "../../../etc/passwd", f"{temporary}/../generator.pt"):
        events = call(address, path)
        assert "event: error" in events and "coloured" not in events, events
    assert sorted(temporary.rglob("*secret*")) == before
    for path in (tmp_path / "secret.png", "/etc/passwd"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{address}/gradio_api/file={path}", timeout=60)
        assert refused.value.code in (403, 404)


def test_it_listens_on_loopback_alone(site):
    port = int(site[0].rpartition(":")[2])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; tells this machine's own address
        own = probe.getsockname()[0]
    if own.startswith("127."):
        pytest.skip("this machine has no other address")
    with socket.socket() as other:
        other.settimeout(5)
        assert other.connect_ex((own, port)) != 0


def test_a_taken_port_is_named(refused):
    pytest.importorskip("gradio")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert f"cannot listen on 127.0.0.1:{port}" in refused("colorize.py", "--serve", "--port", port)


def test_without_gradio_its_install_command_is_told(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert 'pip install -e ".[web]"' in refused("colorize.py", "--serve")


def test_photos_or_the_page_but_not_both(run):
    assert run("colorize.py")[0] == 2
    assert run("colorize.py", "photo.jpg", "--serve")[0] == 2
