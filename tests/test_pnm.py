"""PGM and PPM: white is what the header says."""

import numpy as np
import pytest
from photo_files import assert_lightness, lstar, read, saved

from pix2pix.data.photos import read_photo
from pix2pix.errors import UserError
from pix2pix.photofile.read import Page
from pix2pix.photofile.write import holds_16_bits, write_pages


def netpbm(values, white, *, plain=False, comment=b""):
    height, width = values.shape[:2]
    kind = {(2, False): 5, (3, False): 6, (2, True): 2, (3, True): 3}[values.ndim, plain]
    head = b"P%d\n%s%d %d\n%d\n" % (kind, comment, width, height, white)
    if plain:
        return head + b"\n".join(b" ".join(b"%d" % value for value in row) for row in values.reshape(height, -1))
    return head + values.astype(np.uint8 if white < 256 else ">u2").tobytes()


@pytest.mark.parametrize("white", [1, 15, 100, 255, 256, 1023, 4095, 65535])
@pytest.mark.parametrize("channels", [1, 3])
def test_white_is_the_headers(tmp_path, white, channels):
    values = np.random.default_rng(0).integers(0, max(white * 2 // 3, 1) + 1, (10, 14, channels)).squeeze()
    for plain in (False, True):
        content = netpbm(values, white, plain=plain, comment=b"# made by hand, 9 9 9\n")
        page = read(content)
        assert page.deep == (white > 255)
        assert_lightness(page, lstar(values / white), 0.3 if 1 < white < 255 else 2e-3)
        path = tmp_path / "photo.ppm"
        path.write_bytes(content)
        trained = np.asarray(read_photo(path)).astype(int)
        expected = np.broadcast_to((values / white * 255).reshape(10, 14, channels), (10, 14, 3))
        assert np.abs(trained - expected).max() <= 0.51


def test_16_bits_that_stop_early_are_not_brightened():
    values = np.arange(235, dtype=np.uint16)[None].repeat(4, axis=0)
    assert_lightness(read(netpbm(values, 65535)), lstar(values))


def test_deep_colors_stay_deep(deep_photo, tmp_path):
    page = read(netpbm(deep_photo, 65535))
    assert page.deep and holds_16_bits(tmp_path / "a.ppm")
    assert_lightness(page, lstar(deep_photo))
    write_pages([page], [deep_photo], tmp_path / "a.ppm")
    assert (tmp_path / "a.ppm").read_bytes() == netpbm(deep_photo, 65535)
    write_pages([Page(page.lightness)], [(deep_photo >> 8).astype(np.uint8)], tmp_path / "b.ppm")
    assert (tmp_path / "b.ppm").read_bytes() == saved((deep_photo >> 8).astype(np.uint8), "PPM")


def test_what_is_cut_short_is_said(deep_photo):
    for plain in (False, True):
        content = netpbm(deep_photo, 65535, plain=plain)
        with pytest.raises(UserError, match=r"^photo cannot be read: the file is cut short"):
            read(content[: len(content) // 2])
