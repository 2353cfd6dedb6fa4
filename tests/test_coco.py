"""The COCO sample's download from a real local server, and its unpacking."""

from __future__ import annotations

import errno
import hashlib
import io
import random
import shutil
import socket
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pix2pix.data import coco
from pix2pix.errors import UserError

TOP = "coco_sample/train_sample"
PHOTOS = {f"{index:012d}.jpg": random.Random(index).randbytes(50_000) for index in range(4)}


def make_archive(files, *extra):
    """The bytes of a .tgz of `files` (name to bytes) and then of the members `extra` (TarInfo)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for member in extra:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return buffer.getvalue()


def make_member(name, kind=tarfile.REGTYPE, target=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, target, 3 if kind == tarfile.REGTYPE else 0
    return member


BODY = make_archive({f"{TOP}/{name}": data for name, data in PHOTOS.items()})
HALF = len(BODY) // 2


class Site:
    """A server whose answers are functions of the request handler, one a request, the last one for all the others."""

    def __init__(self, *answers):
        self.answers, self.starts = list(answers), []  # the first bytes that were asked for
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                site.starts.append(int(self.headers["Range"].removeprefix("bytes=").removesuffix("-")))
                answer = site.answers.pop(0) if len(site.answers) > 1 else site.answers[0]
                answer(self, site.starts[-1])

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/coco_sample.tgz"

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(20)


def head(handler, status, **headers):
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()


def ranged(handler, start, stop=None):
    """The rest of the file; the connection is closed before byte `stop`."""
    content_range = f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
    head(handler, 206, Content_Range=content_range, Content_Length=len(BODY) - start)
    handler.wfile.write(BODY[start:stop])


def first_half(handler, start):
    ranged(handler, start, HALF)


def whole(handler, start):
    """No support for Range."""
    head(handler, 200, Content_Length=len(BODY))
    handler.wfile.write(BODY)


def unavailable(handler, start):
    head(handler, 503, Content_Length=0)


def redirect(location):
    return lambda handler, start: head(handler, 302, Location=location, Content_Length=0)


@pytest.fixture(autouse=True)
def direct(monkeypatch):
    """No proxy between the test and its server, and no pause between two tries."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(coco, "RETRY_WAIT_S", 0)


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "outer" / "cache"


@pytest.fixture
def part(cache):
    cache.mkdir(parents=True)
    return cache / "coco_sample.tgz.part"


def fetch(cache, site, body=BODY, **other):
    expected = {"size": len(body), "md5": hashlib.md5(body).hexdigest(), "url": getattr(site, "url", site)}
    return coco.download_coco_sample(cache, **expected | other)


def fail(cache, site, body=BODY, **other):
    """The one line of the UserError that the download must end in."""
    with pytest.raises(UserError) as caught:
        fetch(cache, site, body, **other)
    text = str(caught.value)
    assert "--data FOLDER" in text and "\n" not in text
    return text


def check_whole(cache, folder):
    """All the photos in `folder`, and nothing else left in the cache."""
    assert folder.name == "train_sample"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == PHOTOS
    assert [path.name for path in cache.iterdir()] == ["coco_sample"]


def test_download_and_then_no_request_at_all(cache):
    with Site(ranged) as site:
        folder = fetch(cache, site)
        assert fetch(cache, site) == folder
    check_whole(cache, folder)
    assert site.starts == [0]


def test_a_download_that_broke_off_is_continued_within_one_call(cache):
    with Site(first_half, ranged) as site:
        check_whole(cache, fetch(cache, site))
    assert site.starts == [0, HALF]


def test_a_download_that_broke_off_is_continued_by_the_next_call(cache):
    with Site(first_half, unavailable) as site:
        text = fail(cache, site)
        assert f"broke off after {HALF:,} of {len(BODY):,} bytes (HTTP Error 503" in text
        assert "run the same command again" in text
        assert (cache / "coco_sample.tgz.part").read_bytes() == BODY[:HALF] and not (cache / "coco_sample").exists()
        site.answers = [ranged]
        check_whole(cache, fetch(cache, site))
    assert site.starts == [0, HALF, HALF]


def test_the_number_of_tries_is_limited(cache):
    with Site(lambda handler, start: ranged(handler, start, start + 10)) as site:
        assert "run the same command again" in fail(cache, site)
    assert site.starts == list(range(0, 10 * coco.TRIES, 10))


def test_a_server_that_sends_all_of_it_starts_over(cache, part):
    part.write_bytes(b"?" * HALF)
    with Site(whole) as site:
        check_whole(cache, fetch(cache, site))
    assert site.starts == [HALF]


@pytest.mark.parametrize(("kept", "asked"), [(BODY, []), (BODY + b"?", [0])])
def test_a_complete_file_needs_no_request_and_one_too_long_starts_over(cache, part, kept, asked):
    part.write_bytes(kept)
    with Site(ranged) as site:
        check_whole(cache, fetch(cache, site))
    assert site.starts == asked


def test_a_wrong_checksum_deletes_the_download(cache):
    with Site(ranged) as site:
        assert "checksum" in fail(cache, site, md5="0" * 32)
    assert list(cache.iterdir()) == []


def test_nothing_is_read_beyond_the_size(cache):
    sent = []

    def endless(handler, start):
        head(handler, 200)
        try:
            while len(sent) < 1000:
                sent.append(handler.wfile.write(b"\0" * 65536))
        except ConnectionError:
            pass

    with Site(endless) as site:
        assert "checksum" in fail(cache, site)
    assert len(sent) < 1000 and list(cache.iterdir()) == []


def login_page(handler, start):
    head(handler, 200, Content_Length=5)
    handler.wfile.write(b"login")


def longer(handler, start):
    head(handler, 206, Content_Range=f"bytes {start}-{len(BODY) + 8}/{len(BODY) + 9}", Content_Length=len(BODY))


@pytest.mark.parametrize("answer", [login_page, longer])
def test_another_file_at_the_address_leaves_the_partial_file(cache, part, answer):
    part.write_bytes(BODY[:HALF])
    with Site(answer) as site:
        assert f"is not the COCO sample of {len(BODY):,} bytes" in fail(cache, site)
    assert part.read_bytes() == BODY[:HALF]


def test_a_redirect_keeps_the_range(cache, part):
    part.write_bytes(BODY[:HALF])
    with Site(redirect("/elsewhere.tgz"), ranged) as site:
        check_whole(cache, fetch(cache, site))
    assert site.starts == [HALF, HALF]


@pytest.mark.parametrize("location", ["file:///etc/hostname", "http://[", "data:,x"])
def test_a_redirect_away_from_the_web_is_refused(cache, location):
    with Site(redirect(location)) as site:
        assert "cannot download the COCO sample" in fail(cache, site)
    assert len(site.starts) == 1


def test_an_unreachable_server(cache):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/coco_sample.tgz"
    text = fail(cache, url)
    assert text.startswith(f"cannot download the COCO sample from {url} (")
    assert text.endswith("); give your own photos with --data FOLDER")


def test_a_silent_server_times_out(cache, monkeypatch):
    monkeypatch.setattr(coco, "TIMEOUT_S", 0.1)
    over = threading.Event()
    with Site(lambda handler, start: over.wait(20)) as site:
        try:
            assert "timed out" in fail(cache, site)
        finally:
            over.set()


def test_a_missing_file_is_asked_for_once(cache):
    with Site(lambda handler, start: head(handler, 404, Content_Length=0)) as site:
        assert "404" in fail(cache, site)
    assert len(site.starts) == 1


def test_a_full_disk_is_told_before_any_request(cache, part, monkeypatch):
    part.write_bytes(BODY[:HALF])
    needed = 2 * len(BODY) - HALF
    usage = shutil.disk_usage(cache)
    with Site(ranged) as site:
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=needed - 1))
        assert "GB are free; make room" in fail(cache, site)
        assert site.starts == []
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=needed))
        check_whole(cache, fetch(cache, site))


def test_an_error_of_the_disk_is_not_taken_for_the_network(cache, part, monkeypatch):
    full = OSError(errno.ENOSPC, "No space left on device")

    class Full(io.BytesIO):
        def write(self, data):
            raise full

    real_open = Path.open
    monkeypatch.setattr(Path, "open", lambda path, mode="r": Full() if mode == "r+b" else real_open(path, mode))
    with Site(ranged) as site, pytest.raises(OSError) as caught:
        fetch(cache, site)
    assert caught.value is full and len(site.starts) == 1


def test_a_folder_or_cache_that_is_something_else(cache, tmp_path):
    (cache / "coco_sample" / "mine").mkdir(parents=True)
    assert "move it away" in fail(cache, "http://127.0.0.1:9/")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--cache FOLDER"):
        fetch(tmp_path / "file", "http://127.0.0.1:9/")


def test_only_photos_of_the_folder_are_unpacked(cache, part):
    photos, others = ["a.JPG", "b.jpeg", "c.png"], [f"{TOP}/notes.txt", "coco_sample/val/d.jpg", "train_sample"]
    links = [make_member(f"{TOP}/{kind}.jpg", kind, f"{TOP}/a.JPG") for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE)]
    special = [make_member(f"{TOP}/x.jpg", kind) for kind in (tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)]
    body = make_archive(dict.fromkeys([f"{TOP}/{name}" for name in photos] + others, b"data"), *links, *special)
    part.write_bytes(body)
    folder = fetch(cache, "http://127.0.0.1:9/", body)
    assert sorted(path for path in cache.rglob("*") if not path.is_dir()) == [folder / name for name in photos]


@pytest.mark.parametrize("name", ["../train_sample/evil.jpg", f"{TOP}/../../../evil.jpg", "/train_sample/evil.jpg"])
def test_nothing_is_unpacked_outside(cache, part, tmp_path, name):
    body = make_archive({f"{TOP}/good.jpg": b"good"}, make_member(name))
    part.write_bytes(body)
    try:
        fetch(cache, "http://127.0.0.1:9/", body)
    except UserError as error:
        assert "cannot unpack" in str(error)
    assert not Path("/train_sample").exists()
    assert not [path for path in tmp_path.rglob("evil.jpg") if cache / "coco_sample" not in path.parents]
    assert not list(cache.glob(".*"))


@pytest.mark.parametrize("body", [b"not an archive", BODY[:HALF], make_archive({"elsewhere/a.jpg": b"photo"})])
def test_an_archive_without_whole_photos_is_refused(cache, part, body):
    part.write_bytes(body)
    assert "delete it" in fail(cache, "http://127.0.0.1:9/", body)
    assert list(cache.iterdir()) == [part]


def test_interrupted_unpacking_leaves_nothing_half_done(cache, part, monkeypatch):
    part.write_bytes(BODY)
    extract, unpacked = tarfile.TarFile.makefile, []

    def interrupted(*words):
        extract(*words)
        unpacked.append(words)
        if len(unpacked) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(tarfile.TarFile, "makefile", interrupted)
        fetch(cache, "http://127.0.0.1:9/")
    assert list(cache.iterdir()) == [part]
    check_whole(cache, fetch(cache, "http://127.0.0.1:9/"))


def test_two_downloads_at_once(cache):
    both, folders = threading.Barrier(2, timeout=20), []

    def together(handler, start):
        both.wait()
        ranged(handler, start)

    with Site(together) as site:
        threads = [threading.Thread(target=lambda: folders.append(fetch(cache, site))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert len(folders) == 2 and folders[0] == folders[1]
    check_whole(cache, folders[0])
