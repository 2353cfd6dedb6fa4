"""Draw docs/images/web_page.png: the page of `colorize.py --serve` with two of scikit-image's photos dropped on it.

python docs/web_page.py                     # needs pip install -e ".[test]" and Chromium
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright
from skimage import data

DOCS = Path(__file__).parent
PORT = 7861

with tempfile.TemporaryDirectory() as folder:
    photos = [Path(folder, f"{name}.jpg") for name in ("rocket", "astronaut")]
    for photo in photos:
        Image.fromarray(getattr(data, photo.stem)()).convert("L").save(photo)
    command = [sys.executable, "-u", str(DOCS.parent / "colorize.py"), "--serve", "--port", str(PORT)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE)
    server.stdout.readline()  # it is up
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 700})
        page.goto(f"http://127.0.0.1:{PORT}")
        page.wait_for_selector("text=Strength of the colours")
        page.locator("input[type=file]").first.set_input_files([str(photo) for photo in photos])
        page.locator("#slider img").last.wait_for()
        page.wait_for_timeout(1000)
        page.screenshot(path=DOCS / "images" / "web_page.png")
        browser.close()
    server.terminate()
    server.wait()
