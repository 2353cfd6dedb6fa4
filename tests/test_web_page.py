"""colorize.py --serve: the page in a headless Chromium, with real uploads; and what a client cannot make it do."""

import json
import socket
import sys
import tempfile
import urllib.request
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from conftest import CHROMIUM
from PIL import Image
from skimage import data
from skimage.color import rgb2lab
from tiny_weights import save_tiny_weights

from pix2pix.errors import UserError
from pix2pix.inference import Colorizer

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:gradio")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PATIENCE = 60_000  # milliseconds, for everything a page is asked or waited for


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def colorizer(tmp_path_factory):
    return Colorizer(save_tiny_weights(tmp_path_factory.mktemp("weights") / "generator.pt"), device="cpu")


@pytest.fixture(scope="module")
def temporary(tmp_path_factory):
    """Where the page's temporary files are."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def address(colorizer, temporary):
    """Of the page, served from this process."""
    page = pytest.importorskip("pix2pix.web.page", exc_type=UserError)
    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(temporary))
        patch.setenv("GRADIO_TEMP_DIR", "")
        with page.served(colorizer, host="127.0.0.1", port=port, max_pixels=10_000_000, strength=1.0):
            yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=PATIENCE)
        yield browser.new_context(viewport={"width": 1200, "height": 900})
        browser.close()


@pytest.fixture(scope="module")
def open_page(address, browser):
    """The page, open; what it asks of any server is in `page.asked`, what goes wrong in it in `page.errors`."""
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.asked, page.errors = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.errors.append(error))
    page.goto(address, timeout=PATIENCE)
    page.locator("#editor .empty").wait_for()
    return page


@pytest.fixture
def page(open_page):
    """The same without a photo; opening it for every test takes longer than the tests."""
    yield open_page
    open_page.locator("#drop button[aria-label=Clear]").click()
    open_page.locator("#editor .empty").wait_for()


def drop(page, *paths):
    page.locator("#drop input[type=file]").set_input_files([str(path) for path in paths])
    page.locator("#editor .stage").wait_for()


def place(page, x, y, color):
    """Click at shares x and y of the photo that is shown, with `color` picked; wait for what comes of it."""
    page.locator("#editor .picker").fill(color)
    box = page.locator("#editor .stage").bounding_box()
    page.locator("#editor .stage").click(position={"x": x * box["width"], "y": y * box["height"]})
    recolored(page)


def drop_on_photo(page, path):
    """What dragging a file of text onto the photo does."""
    script = """([name, text]) => {
        const dragged = new DataTransfer();
        dragged.items.add(new File([text], name));
        const what = { dataTransfer: dragged, bubbles: true, cancelable: true };
        document.querySelector("#editor .stage").dispatchEvent(new DragEvent("drop", what));
    }"""
    page.evaluate(script, [path.name, path.read_text()])


def recolored(page):
    page.wait_for_function("() => !document.querySelector('#editor .busy')", timeout=PATIENCE)


def seen_at(page, x, y):
    """The Lab color that the photo on the page has at shares x and y, whatever is drawn over it."""
    script = """async ([x, y]) => {
        const photo = document.querySelector("#editor .color");
        await photo.decode();
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [photo.naturalWidth, photo.naturalHeight];
        const context = canvas.getContext("2d");
        context.drawImage(photo, 0, 0);
        return [...context.getImageData(x * canvas.width, y * canvas.height, 1, 1).data];
    }"""
    red, green, blue, _ = page.evaluate(script, [x, y])
    return rgb2lab(np.array([[[red, green, blue]]], np.uint8))[0, 0]


def lab_of(color):
    return rgb2lab(np.array(Image.new("RGB", (1, 1), color)))[0, 0]


def hue_apart(lab, color):
    """Degrees between a Lab color's hue and that of `color`."""
    turn = np.degrees(np.arctan2(lab[2], lab[1]) - np.arctan2(*lab_of(color)[[2, 1]]))
    return abs((turn + 180) % 360 - 180)


def downloaded(page, button, path):
    with page.expect_download(timeout=PATIENCE) as download:
        page.locator(button).click()
    download.value.save_as(path)
    return download.value.suggested_filename


def chroma(pixels):
    lab = rgb2lab(pixels)
    return np.hypot(lab[..., 1], lab[..., 2])


def test_a_photo_is_edited_and_downloaded(page, address, colorizer, tmp_path, run):
    exif = Image.Exif()
    exif[274] = 8  # lies on its side: 1200 x 800 in the file, 800 x 1200 upright; shown smaller
    lying = Image.fromarray(data.coffee()).convert("L").resize((1200, 800))
    lying.save(tmp_path / "scan.jpg", exif=exif)
    drop(page, tmp_path / "scan.jpg")
    places = ((0.3, 0.2, "#3a5fa0"), (0.72, 0.7, "#8a5a2a"))
    before = [seen_at(page, x, y) for x, y, _ in places]
    for x, y, color in places:
        place(page, x, y, color)
    after = [seen_at(page, x, y) for x, y, _ in places]
    for (_, _, color), old, new in zip(places, before, after, strict=True):
        assert hue_apart(new, color) < 15 and np.linalg.norm((new - old)[1:]) > 8
        assert abs(new[0] - old[0]) < 2
    assert page.locator("#editor .ring").count() == 2

    assert downloaded(page, "#download-points", tmp_path / "scan.points.json") == "scan.points.json"
    points = json.loads((tmp_path / "scan.points.json").read_text())["points"]
    for (x, y, color), point in zip(places, points, strict=True):
        assert abs(point["x"] - x * 800) < 5 and abs(point["y"] - y * 1200) < 5 and point["color"] == color
    assert downloaded(page, "#download", tmp_path / "got.jpg") == "scan-colorized.jpg"
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(1) as pool:  # as many as the server's thread has, so that sums are of the same order
        torch.set_num_threads(pool.submit(torch.get_num_threads).result())
    words = [word for point in points for word in ("--point", "{x},{y},{color}".format(**point))]
    options = ("--weights", colorizer.weights, "--device", "cpu", "-o", tmp_path / "command.jpg")
    code, _, errors = run("colorize.py", tmp_path / "scan.jpg", *words, *options)
    torch.set_num_threads(threads)
    assert code == 0, errors
    assert (tmp_path / "got.jpg").read_bytes() == (tmp_path / "command.jpg").read_bytes()

    page.locator("#editor .ring").first.click()
    recolored(page)
    assert page.locator("#editor .ring").count() == 1
    assert np.linalg.norm((seen_at(page, *places[0][:2]) - after[0])[1:]) > 5
    page.locator("#editor .undo").click()
    recolored(page)
    np.testing.assert_allclose(seen_at(page, *places[0][:2]), after[0], atol=0.1)
    page.locator("#editor .clear").click()
    recolored(page)
    np.testing.assert_allclose(seen_at(page, *places[0][:2]), before[0], atol=0.1)
    page.locator("#editor .file").set_input_files(str(tmp_path / "scan.points.json"))
    recolored(page)
    assert page.locator("#editor .ring").count() == 2
    np.testing.assert_allclose(seen_at(page, *places[1][:2]), after[1], atol=0.1)
    page.locator("#editor .clear").click()
    recolored(page)
    drop_on_photo(page, tmp_path / "scan.points.json")
    recolored(page)
    assert page.locator("#editor .ring").count() == 2
    assert all(url.startswith((address, "data:", "blob:")) for url in page.asked), page.asked
    assert page.errors == []


def test_several_photos_one_of_them_damaged(page, tmp_path):
    Image.fromarray(data.astronaut()).convert("L").resize((128, 128)).save(tmp_path / "astronaut.png")
    Image.fromarray(data.coffee()).convert("L").resize((150, 100)).save(tmp_path / "coffee <b>&.jpg")
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    drop(page, tmp_path / "astronaut.png", tmp_path / "coffee <b>&.jpg", tmp_path / "broken.jpg")
    page.locator("#said >> text=broken.jpg is not a photo that can be read").wait_for()
    place(page, 0.5, 0.5, "#a05030")
    assert downloaded(page, "#download-all", tmp_path / "all.zip") == "colorized.zip"
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert len(archive.namelist()) == 2

    page.locator("#drop input:not([type=file])").click()
    page.locator("[role=option]").last.click()
    shown = "() => document.querySelector('#editor .color').naturalWidth === 150"
    page.wait_for_function(shown, timeout=PATIENCE)
    assert page.locator("#editor .ring").count() == 0, "these are of the other photo"
    page.locator("#editor .slider").fill("50")
    box = page.locator("#editor .stage").bounding_box()
    page.screenshot(path=tmp_path / "page.png", timeout=PATIENCE)
    left, top, width, height = (round(box[side]) for side in ("x", "y", "width", "height"))
    with Image.open(tmp_path / "page.png") as image:
        seen = np.asarray(image.convert("RGB"))[top : min(top + height, 900), left : left + width]
    assert chroma(seen[:60, 10 : width // 2 - 10]).mean() < 1
    assert chroma(seen[:60, width // 2 + 10 : width - 10]).mean() > 5


def test_the_strength_of_color_and_colors_that_do_not_fit(page, tmp_path):
    Image.new("L", (90, 60), 235).save(tmp_path / "light.png")
    drop(page, tmp_path / "light.png")
    assert np.hypot(*seen_at(page, 0.2, 0.5)[1:]) > 5
    before = page.locator("#editor .color").get_attribute("src")
    page.locator("#strength input[type=number]").fill("0")
    page.wait_for_function("old => document.querySelector('#editor .color').src !== old", arg=before, timeout=PATIENCE)
    assert np.hypot(*seen_at(page, 0.2, 0.5)[1:]) < 1.5
    place(page, 0.5, 0.5, "#0000ff")
    page.locator("#said >> text=#0000ff is too strong for a place as light as this one").wait_for()
    ring = page.locator("#editor .ring").get_attribute("title")
    assert ring.startswith("#0000ff, which comes out as #")
    assert np.linalg.norm(seen_at(page, 0.5, 0.5) - lab_of(ring[-7:])) < 8
    page.locator("#strength input[type=number]").fill("1")


def test_weights_without_points(page, colorizer, monkeypatch, tmp_path):
    monkeypatch.setattr(colorizer, "takes_points", False)
    Image.fromarray(data.coffee()[::4, ::4]).convert("L").save(tmp_path / "coffee.png")
    drop(page, tmp_path / "coffee.png")
    page.locator("#editor .pointless").wait_for()
    assert page.locator("#editor .tools").is_hidden()
    page.locator("#editor .stage").click()
    assert page.locator("#editor .ring").count() == 0
    assert downloaded(page, "#download", tmp_path / "got.png") == "coffee-colorized.png"


def test_too_many_photos_are_refused(page, tmp_path):
    for number in range(21):
        Image.new("L", (8, 8), number).save(tmp_path / f"{number}.png")
    page.locator("#drop input[type=file]").set_input_files([str(path) for path in sorted(tmp_path.glob("*.png"))])
    page.locator("#said >> text=21 photos are too many at once; drop at most 20").wait_for()


def call(address, path):
    """Ask for a photo by its path on the server: the events that come back."""
    body = json.dumps({"data": [[{"path": str(path), "meta": {"_type": "gradio.FileData"}}], 1, None]}).encode()
    request = urllib.request.Request(
        f"{address}/gradio_api/call/drop", body, {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{address}/gradio_api/call/drop/{event}", timeout=60) as answer:
        return answer.read().decode()


def test_no_path_of_a_client_is_read(address, colorizer, temporary, tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "secret.png")
    before = sorted(temporary.rglob("*secret*"))
    for path in (tmp_path / "secret.png", colorizer.weights, "../../../etc/passwd", f"{temporary}/../generator.pt"):
        events = call(address, path)
        assert "event: error" in events and "image/jpeg" not in events, events
    assert sorted(temporary.rglob("*secret*")) == before
    for path in (tmp_path / "secret.png", "/etc/passwd"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{address}/gradio_api/file={path}", timeout=60)
        assert refused.value.code in (403, 404)


def test_it_listens_on_loopback_alone(address):
    port = int(address.rpartition(":")[2])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; tells this machine's own address
        own = probe.getsockname()[0]
    if own.startswith("127."):
        pytest.skip("this machine has no other address")
    with socket.socket() as other:
        other.settimeout(5)
        assert other.connect_ex((own, port)) != 0


def test_it_is_served_until_ctrl_c_and_leaves_no_files(run, colorizer, tmp_path, monkeypatch):
    address, served_there = f"http://127.0.0.1:{free_port()}", []

    def press_ctrl_c(page):
        with urllib.request.urlopen(address, timeout=20) as answer:
            served_there.append(answer.read().decode())
        assert list(tmp_path.glob("pix2pix-*"))
        raise KeyboardInterrupt

    gradio = pytest.importorskip("gradio")
    monkeypatch.setattr(gradio.Blocks, "block_thread", press_ctrl_c)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    code, told, _ = run("colorize.py", "--serve", "--port", address.rpartition(":")[2], "--weights", colorizer.weights)
    assert code == 130 and told == f"open {address} in a browser; Ctrl-C ends it\n"
    assert "Color for black-and-white photos" in served_there[0]
    assert not list(tmp_path.glob("pix2pix-*"))


def test_a_taken_port_is_named(refused, colorizer):
    pytest.importorskip("gradio")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert f"cannot listen on 127.0.0.1:{port}" in refused(
            "colorize.py", "--serve", "--port", port, "--weights", colorizer.weights
        )


def test_without_gradio_its_install_command_is_told(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "pix2pix.web.page", raising=False)
    assert 'pip install -e ".[web]"' in refused("colorize.py", "--serve")


def test_photos_or_the_page_but_not_both(run):
    assert run("colorize.py")[0] == 2
    assert run("colorize.py", "photo.jpg", "--serve")[0] == 2
    for words in (["--compare"], ["--no-points"], ["-o", "x"], ["--point", "1,2,red"], ["--crf", 0]):
        code, _, errors = run("colorize.py", "--serve", *words)
        assert code == 2 and "--serve takes no --" in errors
