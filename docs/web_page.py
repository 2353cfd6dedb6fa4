"""Draw docs/images/web_page.png: the page of `colorize.py --serve` with a photo of scikit-image's and two points.

python docs/web_page.py                     # needs pip install -e ".[test]" and Chromium
python docs/web_page.py --weights FILE      # options are those of colorize.py
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright
from skimage import data

DOCS = Path(__file__).parent
PORT = 7861
# Shares of the photo's width and height, and a color: the suit, the wall behind it.
POINTS = ((0.42, 0.62, "#d0652a"), (0.68, 0.12, "#b0aca4"))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder, "astronaut.jpg")
        Image.fromarray(data.astronaut()).convert("L").save(photo, quality=95)
        command = [sys.executable, "-u", str(DOCS.parent / "colorize.py"), "--serve", "--port", str(PORT)]
        with subprocess.Popen([*command, *sys.argv[1:]], stdout=subprocess.PIPE) as server:
            try:
                server.stdout.readline()  # it is up
                with sync_playwright() as tools:
                    browser = tools.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                    page = browser.new_page(viewport={"width": 1280, "height": 800})
                    edit(page, photo)
                    page.screenshot(path=DOCS / "images" / "web_page.png")
                    browser.close()
            finally:
                server.terminate()


def edit(page: Page, photo: Path) -> None:
    """Drop the photo on the page, put the points on it where the weights take some, and show a quarter in gray."""
    page.goto(f"http://127.0.0.1:{PORT}")
    page.locator("#drop input[type=file]").set_input_files(str(photo))
    stage = page.locator("#editor .stage")
    stage.wait_for()
    if page.locator("#editor .tools").is_visible():
        for x, y, color in POINTS:
            page.locator("#editor .picker").fill(color)
            box = stage.bounding_box()
            stage.click(position={"x": x * box["width"], "y": y * box["height"]})
            page.wait_for_function("() => !document.querySelector('#editor .busy')")
    page.locator("#editor .slider").fill("25")
    page.locator("#editor .slider").blur()
    page.mouse.move(5, 5)
    page.wait_for_timeout(500)


if __name__ == "__main__":
    main()
