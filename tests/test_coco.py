"""The COCO sample's download against a real local server, its unpacking against hostile archives, and the split."""

from __future__ import annotations

import errno
import hashlib
import io
import random
import shutil
import socket
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from pix2pix.data import coco
from pix2pix.errors import UserError

TOP = "coco_sample/train_sample"
PHOTOS = {f"{index:012d}.jpg": random.Random(index).randbytes(50_000) for index in range(4)}


def make_archive(files, *extra):
    """The bytes of a .tgz of `files` (name to bytes) and then of the members `extra` (TarInfo)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for member in extra:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return buffer.getvalue()


def member(name, kind=tarfile.REGTYPE, target=""):
    found = tarfile.TarInfo(name)
    found.type, found.linkname, found.size = kind, target, 3 if kind == tarfile.REGTYPE else 0
    return found


BODY = make_archive({f"{TOP}/{name}": data for name, data in PHOTOS.items()})
HALF = len(BODY) // 2


class Site:
    """A server whose answers are functions of the request handler, one a request, the last one for all the others."""

    def __init__(self, *answers, server=HTTPServer):
        self.answers, self.ranges, self.sent = list(answers), [], 0
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                site.ranges.append(self.headers["Range"])
                answer = site.answers.pop(0) if len(site.answers) > 1 else site.answers[0]
                answer(self, site)

            def log_message(self, *_):
                pass

        self.server = server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = False  # so that closing waits for the handlers
        self.url = f"http://127.0.0.1:{self.server.server_port}/coco_sample.tgz"

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def head(handler, status, **headers):
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()


def send(handler, site, data):
    handler.wfile.write(data)
    site.sent += len(data)


def whole(handler, site):
    """No support for Range."""
    head(handler, 200, Content_Length=len(BODY))
    send(handler, site, BODY)


def ranged(handler, site, stop=None):
    """Support for Range; the connection is closed before byte `stop`."""
    asked = handler.headers["Range"]
    start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
    length = {"Content_Length": len(BODY) - start}
    if asked:
        head(handler, 206, Content_Range=f"bytes {start}-{len(BODY) - 1}/{len(BODY)}", **length)
    else:
        head(handler, 200, **length)
    send(handler, site, BODY[start:stop])


def first_half(handler, site):
    ranged(handler, site, HALF)


def unavailable(handler, site):
    head(handler, 503, Content_Length=0)


def redirect(location):
    return lambda handler, site: head(handler, 302, Location=location, Content_Length=0)


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
    assert "--data FOLDER" in text
    assert "\n" not in text
    return text


def check_whole(cache, folder):
    """All the photos in `folder`, and nothing else left in the cache."""
    assert folder.name == "train_sample"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == PHOTOS
    assert [path.name for path in cache.iterdir()] == ["coco_sample"]


def test_download_and_then_no_request_at_all(cache):
    with Site(whole) as site:
        folder = fetch(cache, site)
        assert fetch(cache, site) == folder
    check_whole(cache, folder)
    assert site.ranges == [None]


def test_broken_download_is_continued_by_the_next_call(cache):
    with Site(first_half, unavailable) as site:
        text = fail(cache, site)
        assert "run the same command again" in text
        assert "503" in text
        assert (cache / "coco_sample.tgz.part").read_bytes() == BODY[:HALF]
        assert not (cache / "coco_sample").exists()
        site.answers = [ranged]
        site.ranges.clear()
        folder = fetch(cache, site)
    check_whole(cache, folder)
    assert site.ranges == [f"bytes={HALF}-"]
    assert site.sent == len(BODY)  # over both calls: no byte was sent twice


def test_broken_download_is_continued_within_one_call(cache):
    with Site(first_half, ranged) as site:
        check_whole(cache, fetch(cache, site))
    assert site.ranges == [None, f"bytes={HALF}-"]
    assert site.sent == len(BODY)


def test_number_of_tries_is_limited(cache):
    stops = iter(range(10, 10_000, 10))
    with Site(lambda handler, site: ranged(handler, site, next(stops))) as site:
        assert "run the same command again" in fail(cache, site)
    assert len(site.ranges) == coco.TRIES
    assert site.sent == 10 * coco.TRIES


def test_server_without_range_starts_over(cache, part):
    part.write_bytes(b"?" * HALF)
    with Site(whole) as site:
        check_whole(cache, fetch(cache, site))
    assert site.ranges == [f"bytes={HALF}-"]


@pytest.mark.parametrize("content_range", [f"bytes 0-{len(BODY) - 1}/{len(BODY)}", "bytes", None])
def test_wrong_part_of_the_file_starts_over(cache, part, content_range):
    part.write_bytes(BODY[:HALF])

    def wrong(handler, site):
        head(handler, 206, Content_Length=len(BODY), **({"Content_Range": content_range} if content_range else {}))
        handler.wfile.write(BODY)

    with Site(wrong, whole) as site:
        check_whole(cache, fetch(cache, site))
    assert site.ranges == [f"bytes={HALF}-", None]


def test_complete_partial_file_needs_no_request(cache, part):
    part.write_bytes(BODY)
    with Site(whole) as site:
        check_whole(cache, fetch(cache, site))
    assert site.ranges == []


def test_partial_file_that_is_too_long_starts_over(cache, part):
    part.write_bytes(BODY + b"?")
    with Site(ranged) as site:
        check_whole(cache, fetch(cache, site))
    assert site.ranges == [None]


def test_wrong_checksum_deletes_the_download(cache):
    with Site(whole) as site:
        assert "checksum" in fail(cache, site, md5="0" * 32)
    assert list(cache.iterdir()) == []


LIMIT = 64 << 20  # where the endless server gives up: far more than a socket holds


def endless(handler, site, start=b""):
    head(handler, 200)
    try:
        send(handler, site, start)
        while site.sent < LIMIT:
            send(handler, site, b"\0" * 65536)
    except ConnectionError:
        pass


def test_endless_stream_is_refused(cache):
    with Site(endless) as site:
        assert "checksum" in fail(cache, site)
    assert site.sent < LIMIT
    assert list(cache.iterdir()) == []


def test_nothing_is_read_beyond_the_size(cache):
    with Site(lambda handler, site: endless(handler, site, BODY)) as site:
        check_whole(cache, fetch(cache, site))
    assert site.sent < LIMIT


def test_another_file_at_the_address_leaves_the_partial_file(cache, part):
    part.write_bytes(BODY[:HALF])

    def login_page(handler, site):
        head(handler, 200, Content_Length=5)
        handler.wfile.write(b"login")

    with Site(login_page) as site:
        assert " 5 bytes" in fail(cache, site)
    assert part.read_bytes() == BODY[:HALF]


@pytest.mark.parametrize("location", ["file:///etc/hostname", "ftp://127.0.0.1:9/x", "http://[", "data:,x"])
def test_redirect_away_from_the_web_is_refused(cache, location):
    with Site(redirect(location)) as site:
        assert "cannot download the COCO sample" in fail(cache, site)
    assert len(site.ranges) == 1


def test_address_that_is_not_of_the_web_is_refused(cache, tmp_path):
    (tmp_path / "here.tgz").write_bytes(BODY)
    assert "unknown url type" in fail(cache, (tmp_path / "here.tgz").as_uri())


def test_redirect_on_the_web_keeps_the_range(cache, part):
    part.write_bytes(BODY[:HALF])
    with Site(redirect("/elsewhere.tgz"), ranged) as site:
        check_whole(cache, fetch(cache, site))
    assert site.sent == len(BODY) - HALF


def test_unreachable_server(cache):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/coco_sample.tgz"
    text = fail(cache, url)
    assert text.startswith(f"cannot download the COCO sample from {url} (")
    assert text.endswith("); give your own photos with --data FOLDER")


def test_silent_server_times_out(cache, monkeypatch):
    monkeypatch.setattr(coco, "TIMEOUT_S", 0.1)
    over = threading.Event()
    with Site(lambda handler, site: over.wait(20)) as site:
        try:
            assert "timed out" in fail(cache, site)
        finally:
            over.set()


def test_missing_file(cache):
    with Site(lambda handler, site: head(handler, 404, Content_Length=0)) as site:
        assert "404" in fail(cache, site)
    assert len(site.ranges) == 1


def test_full_disk_is_told_before_any_request(cache, part, monkeypatch):
    part.write_bytes(BODY[:HALF])
    needed = 2 * len(BODY) - HALF
    usage = shutil.disk_usage(cache)
    with Site(ranged) as site:
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=needed - 1))
        assert "GB" in fail(cache, site)
        assert site.ranges == []
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=needed))
        check_whole(cache, fetch(cache, site))


def test_error_of_the_disk_is_not_taken_for_the_network(cache, monkeypatch):
    full = OSError(errno.ENOSPC, "No space left on device")

    class Full(io.BytesIO):
        def write(self, data):
            raise full

    real_open = Path.open
    monkeypatch.setattr(Path, "open", lambda path, mode="r": Full() if mode == "r+b" else real_open(path, mode))
    with Site(whole) as site, pytest.raises(OSError) as caught:
        fetch(cache, site)
    assert caught.value is full


def test_folder_or_cache_that_is_something_else(cache, tmp_path):
    (cache / "coco_sample" / "mine").mkdir(parents=True)
    with Site(whole) as site:
        assert "move it away" in fail(cache, site)
        (tmp_path / "file").write_text("")
        assert "not a folder" in fail(tmp_path / "file", site)
    assert site.ranges == []


def test_only_photos_of_the_folder_are_unpacked(cache):
    photos, others = ["a.JPG", "b.jpeg", "c.png"], [f"{TOP}/notes.txt", "coco_sample/val/d.jpg", "train_sample"]
    folder_member = member(f"{TOP}/folder.jpg", tarfile.DIRTYPE)
    body = make_archive(dict.fromkeys([f"{TOP}/{name}" for name in photos] + others, b"data"), folder_member)
    with Site(lambda handler, site: send(handler, site, b"HTTP/1.0 200 OK\r\n\r\n" + body)) as site:
        folder = fetch(cache, site, body)
    files = [path for path in cache.rglob("*") if path.is_file()]
    assert sorted(files) == [folder / name for name in photos]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../evil.jpg", tarfile.REGTYPE),
        (f"{TOP}/../../../evil.jpg", tarfile.REGTYPE),
        ("train_sample\\..\\..\\evil.jpg", tarfile.REGTYPE),
        ("/ABSOLUTE/train_sample/evil.jpg", tarfile.REGTYPE),
        ("C:/train_sample/evil.jpg", tarfile.REGTYPE),
        ("../evil", tarfile.DIRTYPE),
        (f"{TOP}/evil.jpg", tarfile.SYMTYPE),
        (f"{TOP}/evil.jpg", tarfile.LNKTYPE),
        (f"{TOP}/evil.jpg", tarfile.CHRTYPE),
        (f"{TOP}/evil.jpg", tarfile.FIFOTYPE),
    ],
)
def test_unsafe_archive_is_refused(cache, part, tmp_path, name, kind):
    name = name.replace("/ABSOLUTE", str(tmp_path))
    body = make_archive({f"{TOP}/good.jpg": b"good"}, member(name, kind, target=f"{TOP}/good.jpg"))
    part.write_bytes(body)
    before = sorted(tmp_path.rglob("*"))
    assert repr(name) in fail(cache, "http://127.0.0.1:9/", body)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("body", [b"not an archive", BODY[:HALF], make_archive({"elsewhere/a.jpg": b"photo"})])
def test_archive_without_whole_photos_is_refused(cache, part, body):
    part.write_bytes(body)
    fail(cache, "http://127.0.0.1:9/", body)
    assert list(cache.iterdir()) == [part]


def test_interrupted_unpacking_leaves_nothing_half_done(cache, monkeypatch):
    copies = []

    def interrupted(source, copy):
        copies.append(copy.write(source.read()))
        if len(copies) == 2:
            raise KeyboardInterrupt

    with Site(whole) as site:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(shutil, "copyfileobj", interrupted)
            fetch(cache, site)
        assert [path.name for path in cache.iterdir()] == ["coco_sample.tgz.part"]
        check_whole(cache, fetch(cache, site))
    assert len(site.ranges) == 1


@pytest.mark.parametrize("archive_gone", [False, True])
def test_another_process_that_finishes_first_wins(cache, monkeypatch, archive_gone):
    check = coco._check_md5

    def overtaken(part, md5):
        check(part, md5)
        (cache / "coco_sample" / TOP).mkdir(parents=True)
        (cache / "coco_sample" / TOP / "theirs.jpg").write_bytes(b"theirs")
        if archive_gone:
            part.unlink()

    monkeypatch.setattr(coco, "_check_md5", overtaken)
    with Site(whole) as site:
        folder = fetch(cache, site)
    assert [path.name for path in folder.iterdir()] == ["theirs.jpg"]
    assert [path.name for path in cache.iterdir()] == ["coco_sample"]


def test_two_downloads_at_once(cache):
    both, folders = threading.Barrier(2, timeout=20), []

    def together(handler, site):
        both.wait()
        ranged(handler, site)

    with Site(together, server=ThreadingHTTPServer) as site:
        threads = [threading.Thread(target=lambda: folders.append(fetch(cache, site))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(folders) == 2
    assert folders[0] == folders[1]
    check_whole(cache, folders[0])


NAMES = [f"{index:012d}.jpg" for index in range(21_837)]


def test_split_draws_what_the_legacy_calls_draw():
    state = np.random.get_state()
    np.random.seed(98)
    chosen = np.random.choice(NAMES, 12_000, replace=False)
    order = np.random.permutation(12_000)
    np.random.set_state(state)
    train, validation = coco.report_split(NAMES)
    assert train == chosen[order[:9000]].tolist()
    assert validation == chosen[order[9000:]].tolist()
    assert np.random.get_state()[1].tolist() == state[1].tolist()  # the global generator is left alone


def test_split_is_disjoint_and_does_not_depend_on_the_order():
    train, validation = coco.report_split(NAMES)
    assert (len(train), len(validation)) == (9000, 3000)
    assert len({*train, *validation}) == 12_000
    assert {*train, *validation} < set(NAMES)
    assert all(type(name) is str for name in train + validation)
    shuffled = random.Random(1).sample(NAMES, len(NAMES))
    assert coco.report_split(shuffled) == (train, validation)
    assert coco.report_split(NAMES, seed=99) != (train, validation)


def test_split_needs_12_000_photos():
    assert [len(part) for part in coco.report_split(NAMES[:12_000])] == [9000, 3000]
    with pytest.raises(UserError, match=r"11,999.*--data FOLDER"):
        coco.report_split(NAMES[:11_999])
