"""Sixteen clients at the web page: each gets its own photo back with its own point, and the server grows in nothing."""

import io
import json
import os
import signal
import socket
import time
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import process
from PIL import Image
from skimage import data
from skimage.color import rgb2lab
from tiny_weights import save_tiny_weights

from pix2pix.hints import Point
from pix2pix.inference import Colorizer

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]
CLIENTS, ROUNDS = 16, 60


def measure(process):
    """(resident memory in MB, open files) of a process."""
    folder = Path(f"/proc/{process.pid}")
    pages = int((folder / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6, len(list((folder / "fd").iterdir()))


def ask(address, content=None, kind="application/json"):
    request = urllib.request.Request(address, content, {"Content-Type": kind} if content else {})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return answer.read()


class Client:
    """Somebody with a photo and a point of their own."""

    def __init__(self, number, address, colorizer):
        self.address, self.number, self.session = f"{address}/gradio_api", number, uuid.uuid4().hex
        top, left = divmod(number, 4)
        cut = data.astronaut()[60 * top : 60 * top + 240 + number, 50 * left : 50 * left + 320 - number]
        self.photo = Image.fromarray(cut).convert("L")
        self.color = f"#{40 + 10 * number:02x}7080"
        points = [Point(self.photo.width // 2, self.photo.height // 2, self.color)]
        self.expected = np.asarray(colorizer.colorize(self.photo, points)).astype(int)
        events = json.loads(ask(f"{address}/config"))["dependencies"]
        self.events = {event["api_name"]: event["id"] for event in events}

    def do(self, name, *values, **event):
        """What the page answers to one of its events, as a browser sends them."""
        call = {"data": values, "fn_index": self.events[name], "session_hash": self.session, "event_data": event}
        waiting = json.loads(ask(f"{self.address}/queue/join", json.dumps(call).encode()))["event_id"]
        for line in ask(f"{self.address}/queue/data?session_hash={self.session}").decode().splitlines():
            told = json.loads(line.removeprefix("data: ")) if line else {}
            if told.get("event_id") == waiting and told["msg"] == "process_completed":
                assert told["success"], told
                return told["output"]["data"]
        raise AssertionError("no answer")

    def colorize(self):
        """Upload the photo, click on it and download it; returns whether it is right."""
        png = io.BytesIO()
        self.photo.save(png, "PNG")
        head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="photo{self.number}.png"\r\n\r\n'
        body = head.encode() + png.getvalue() + b"\r\n--x--\r\n"
        (path,) = json.loads(ask(f"{self.address}/upload", body, "multipart/form-data; boundary=x"))
        file = {"path": path, "orig_name": f"photo{self.number}.png", "meta": {"_type": "gradio.FileData"}}
        shown, said = self.do("drop", [file], 1, None)[:2]
        assert shown["photo"] == f"photo{self.number}.png" and not said
        shown, said = self.do("edit", 1, None, change={"do": "place", "x": 0.5, "y": 0.5, "color": self.color})[:2]
        assert [point["asked"] for point in shown["points"]] == [self.color]
        file, said = self.do("download", 1, None)
        assert not said and file["orig_name"] == f"photo{self.number}-colorized.png"
        with Image.open(io.BytesIO(ask(f"{self.address}/file={file['path']}"))) as image:
            got = np.asarray(image).astype(int)
        self.do("drop", [], 1, None)
        lab, own = rgb2lab(got.astype(np.uint8)), rgb2lab(np.asarray(self.photo.convert("RGB")))
        assert np.hypot(lab[..., 1], lab[..., 2]).mean() > 5
        assert np.abs(lab[..., 0] - own[..., 0]).max() < 1
        return np.abs(got - self.expected).max() <= 1


def test_16_clients(tmp_path, monkeypatch, request):
    pytest.importorskip("gradio")
    weights = save_tiny_weights(tmp_path / "generator.pt")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    words = ("--serve", "--port", port, "--weights", weights)
    server = process("tests/faults/served_briefly.py", *words, cwd=tmp_path)
    request.addfinalizer(server.kill)
    assert server.stdout.readline().startswith("open http://")

    colorizer = Colorizer(weights, device="cpu")
    clients = [Client(number, f"http://127.0.0.1:{port}", colorizer) for number in range(CLIENTS)]
    seen, right = [], 0
    with ThreadPoolExecutor(CLIENTS) as pool:
        for number in range(ROUNDS):
            right += sum(pool.map(Client.colorize, clients))
            server.send_signal(signal.SIGUSR1)
            time.sleep(0.5)
            seen.append(((number + 1) * CLIENTS, *measure(server)))
    assert right == CLIENTS * ROUNDS
    photos, memory, files = np.array(seen[ROUNDS // 3 :]).T
    slope = np.polyfit(photos, memory, 1)[0] * 1000
    print(f"{right} answers of {CLIENTS * ROUNDS} right; {files.min():.0f} to {files.max():.0f} open files")
    print(f"{memory[0]:.0f} to {memory[-1]:.0f} MB, {slope:+.1f} MB a thousand")
    until = time.monotonic() + 300  # gradio looks once a minute for what is older than a minute
    while left := [path for path in temporary.rglob("*") if path.is_file() and path.stat().st_size]:
        assert time.monotonic() < until, left
        time.sleep(1)
    time.sleep(65)  # what the page removes itself is removed at the next photo
    assert clients[0].colorize()
    left = list(temporary.glob("pix2pix-*/*"))
    assert len(left) <= 3, left  # of this last photo: upload, gradio's empty file, result
    print(f"{measure(server)[1]} open files afterwards, {len(left)} temporary ones")
    assert slope < 20 and measure(server)[1] <= seen[0][2]
    server.send_signal(signal.SIGINT)
    said, _ = server.communicate(timeout=60)
    assert server.returncode in (0, 130) and "Traceback" not in said, said
    assert not list(temporary.glob("pix2pix-*"))
