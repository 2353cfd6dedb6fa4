"""EXIF's and TIFF's directories: the bytes of every value come back as they were."""

import io

import numpy as np
import pytest
from photo_files import exif_with_everything, tiff
from PIL import ExifTags, Image

from pix2pix.decoding.tags import EXIF, GPS, Directory, Tag, read_directories, read_exif, write_exif


@pytest.mark.parametrize("order", "<>")
def test_what_is_written_is_read_again(order):
    main, camera, place = Directory(order), Directory(order), Directory(order)
    main[315] = Tag(2, 6, b"Andr\xe9\0")
    main[33432] = Tag(2, 8, "© Zoë".encode() + b"\0")
    main.set(282, 5, 300, 7)
    main.set(18246, 3, 4)
    camera[0x9286] = Tag(7, 11, b"UNICODE\0\1\2\3")
    camera[0x927C] = Tag(7, 301, bytes(range(256)) + bytes(45))
    place.set(2, 5, 48, 1, 12, 1, 30, 1)
    content = write_exif(main, {EXIF: camera, GPS: place})
    again, inner = read_exif(content)
    assert again.order == order and {tag: again[tag] for tag in main} == dict(main)
    assert dict(inner[EXIF]) == dict(camera) and dict(inner[GPS]) == dict(place)
    assert again.numbers(282) == (300 / 7,) and inner[GPS].numbers(2) == (48, 12, 30) and again.integer(18246, 0) == 4
    exif = Image.Exif()
    exif.load(content)  # Pillow reads the same
    assert exif[315].encode("latin-1") == b"Andr\xe9" and exif.get_ifd(EXIF)[0x927C] == camera[0x927C].data
    assert tuple(map(float, exif.get_ifd(ExifTags.IFD.GPSInfo)[2])) == (48, 12, 30)


@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"bigtiff": True}, {"bigtiff": True, "byteorder": ">"}])
def test_a_tiffs_tags(options):
    pixels = np.zeros((7, 9), dtype=np.uint16)
    file = io.BytesIO(tiff(pixels, resolution=(300, 150), description="a mill", **options))
    (page,) = read_directories(file)
    assert (page.integer(256, 0), page.integer(257, 0), page.integers(258)) == (9, 7, (16,))
    assert page[270].data == b"a mill\0" and page.numbers(282) == (300,) and page.numbers(283) == (150,)
    assert page.integers(50000, 5) == (5,)


def test_damage_ends_in_a_value_error():
    whole = exif_with_everything()[6:]
    for content in (b"", b"II", b"no directory at all", b"II*\0\xff\xff\xff\x7f", whole[:9], b"MM\0*" + bytes(4)):
        with pytest.raises(ValueError, match=r"directory|begin"):
            read_exif(content)
    random = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(whole)
        damaged[random.integers(8, len(whole))] ^= 1 << int(random.integers(8))
        try:
            main, inner = read_exif(bytes(damaged))
        except ValueError:
            continue
        write_exif(main, inner)


def test_directories_in_a_circle_end():
    circle = b"II*\0\x08\0\0\0" + b"\0\0" + b"\x08\0\0\0"
    assert len(read_directories(io.BytesIO(circle))) == 1
