"""Photo files for the tests, made by hand or by Pillow and tifffile, and what is expected of them."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
import torch
from PIL import ExifTags, Image, features
from skimage.color import rgb2lab

from pix2pix.photofile.read import read_pages

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PROFILE_TOLERANCE = 0.03  # of L*


ORIENTATION, EXIF, GPS, THUMBNAIL = 274, 34665, 34853, ExifTags.IFD.IFD1


XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


IPTC = b"\x1c\x02\x78\x00\x0cThe old mill"  # 2:120, the caption


def skip_without(format):
    """Skip the test where this Pillow was built without one of the formats that it need not have."""
    needed = {"WEBP": "webp", "JPEG2000": "jpg_2000", "AVIF": "avif"}
    if format in needed and not features.check(needed[format]):
        pytest.skip(f"this Pillow has no {format}")


def saved(photo, format, **options):
    """A file's content by Pillow, from an array or an image."""
    file = io.BytesIO()
    (photo if isinstance(photo, Image.Image) else Image.fromarray(photo)).save(file, format, **options)
    return file.getvalue()


def tiff(pixels, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, metadata=None, **options)
    return file.getvalue()


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(pixels, color_type, *chunks):
    """A PNG by hand: uint8 or uint16 (H, W) or (H, W, channels), no filter."""
    height, width = pixels.shape[:2]
    rows = pixels.astype(pixels.dtype.newbyteorder(">")).reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.dtype.itemsize, color_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return SIGNATURE + b"".join(parts)


def decode_png(content):
    """A PNG by hand, whose every row is the difference from the one above (filter 2)."""
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    start, data = 8, b""
    while start < len(content):
        length, kind = struct.unpack_from(">I4s", content, start)
        body = content[start + 8 : start + 8 + length]
        assert chunk(kind, body) == content[start : start + 12 + length]  # its check sum too
        if kind == b"IHDR":
            width, height, bits, color_type, *rest = struct.unpack(">IIBBBBB", body)
        data += body if kind == b"IDAT" else b""
        start += 12 + length
    assert kind == b"IEND" and bits == 16 and rest == [0, 0, 0]
    rows = np.frombuffer(zlib.decompress(data), dtype=np.uint8).reshape(height, -1)
    assert (rows[:, 0] == 2).all()
    values = np.cumsum(rows[:, 1:], axis=0, dtype=np.uint8).view(">u2")
    return values.reshape(height, width, {2: 3, 6: 4}[color_type]).astype(np.uint16)


def read(content, name="photo"):
    """The only page of a file."""
    (page,) = read_pages(content, name)
    return page


def lightness(page):
    """L* (H, W), in [0, 100]."""
    assert page.lightness.dtype == torch.float32 and page.lightness.shape[:2] == (1, 1)
    assert page.lightness.min() >= -1 and page.lightness.max() <= 1
    return (page.lightness[0, 0].numpy().astype(np.float64) + 1) * 50


def lstar(pixels):
    """scikit-image's L* of sRGB (H, W) or (H, W, 3), uint8, uint16 or in [0, 1]."""
    values = pixels / np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else pixels
    return rgb2lab(values if values.ndim == 3 else np.repeat(values[..., None], 3, axis=-1))[..., 0]


def lstar_of_luminance(luminance):
    return np.where(luminance > 216 / 24389, 116 * np.cbrt(luminance) - 16, luminance * 24389 / 27)


def assert_lightness(page, expected, tolerance=1e-3):
    assert lightness(page).shape == expected.shape
    assert np.abs(lightness(page) - expected).max() < tolerance


def exif_with_everything(orientation=1):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[271], exif[315], exif[33432] = "Kodak", "A. Adams", "nobody"
    exif[EXIF] = {36867: "1931:05:06 07:08:09", 33434: 0.125, 0xA001: 65535, 0xA002: 128, 0xA003: 96}
    exif[GPS] = {1: "N", 2: (48.0, 12.0, 30.0)}
    return exif.tobytes()


def assert_exif(exif, size):
    assert exif[271] == "Kodak" and exif[315] == "A. Adams" and exif[33432] == "nobody"
    assert exif.get(ORIENTATION, 1) == 1
    camera, place = exif.get_ifd(EXIF), exif.get_ifd(GPS)
    assert camera[36867] == "1931:05:06 07:08:09" and float(camera[33434]) == 0.125
    assert camera[0xA001] == 1 and (camera[0xA002], camera[0xA003]) == size
    assert place[1] == "N" and tuple(map(float, place[2])) == (48, 12, 30)


def written_exif(page):
    """A page's EXIF, as it will be written."""
    exif = Image.Exif()
    exif.load(page.metadata.exif)
    return exif


def fixed(*values):
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def profile(space, connection, tags, kind=b"mntr"):
    """An ICC profile (version 2.4) with the tags it needs beside `tags`."""
    tags = tags | {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 2) + b"a\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": xyz(0.9642, 1, 0.8249),
    }
    index, content, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, tag in tags.items():
        index += name + struct.pack(">II", start + len(content), len(tag))
        content += tag + bytes(-len(tag) % 4)
    header = struct.pack(">I4xI", start + len(content), 0x02400000) + kind + space + connection
    header += bytes(12) + b"acsp" + bytes(28) + fixed(0.9642, 1, 0.8249)
    return header.ljust(128, b"\0") + index + content


def xyz(*values):
    return b"XYZ " + bytes(4) + fixed(*values)


def gamma(value):
    """A curve and the exponent it stands for."""
    exponent = round(value * 256)
    return b"curv" + bytes(4) + struct.pack(">IH", 1, exponent), exponent / 256


def xyz_columns(primaries):
    """XYZ of red, green and blue under D65, where white is R = G = B = 1."""
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in primaries]).T
    return columns * np.linalg.solve(columns, (0.95047, 1, 1.08883))


def matrix_luminance(primaries):
    """The luminance of linear RGB with these primaries and a D65 white."""
    return lambda rgb: rgb @ xyz_columns(primaries)[1]


def matrix_profile(primaries, exponent):
    """An RGB profile and its luminance, adapted to D65, as a function of RGB in [0, 1].

    `primaries` are the x, y of red, green and blue under a D65 white; they are adapted to the profile's D50.
    """
    columns = xyz_columns(primaries)
    cone = np.array(((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296)))  # Bradford's
    ratio = (cone @ (0.9642, 1, 0.8249)) / (cone @ (0.95047, 1, 1.08883))
    adapted = np.linalg.inv(cone) @ np.diag(ratio) @ cone @ columns
    curve, exact = gamma(exponent)
    tags = {name + b"XYZ": xyz(*adapted[:, channel]) for channel, name in enumerate((b"r", b"g", b"b"))}
    tags |= {name + b"TRC": curve for name in (b"r", b"g", b"b")}
    return profile(b"RGB ", b"XYZ ", tags), lambda rgb: rgb**exact @ columns[1]


DISPLAY_P3 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))


ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))


def table_profile(space, corners):
    """A profile whose table, with two points a channel, gives the Lab of `corners` (2, 2, ..., 3)."""
    lab = np.asarray(corners, dtype=np.float64)
    channels = lab.ndim - 1
    encoded = np.round(np.stack((lab[..., 0] * 652.8, *((lab[..., n] + 128) * 256 for n in (1, 2))), axis=-1))
    table = b"mft2" + bytes(4) + bytes((channels, 3, 2, 0)) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    table += struct.pack(">HH", 2, 2) + struct.pack(">2H", 0, 65535) * channels
    table += encoded.astype(">u2").tobytes() + struct.pack(">2H", 0, 65535) * 3
    return profile(space, b"Lab ", {b"A2B0": table}, kind=b"prtr" if channels == 4 else b"scnr")


def jpeg_with_everything(photo):
    """A JPEG turned by 90 degrees, with EXIF, its thumbnail, XMP, IPTC, a comment, a resolution and a profile."""
    thumbnail = saved(photo[::4, ::4], "JPEG")
    exif = exif_with_everything(6)
    body = bytearray(exif[6:])
    order = "<" if body[:2] == b"II" else ">"
    start, end = struct.unpack_from(f"{order}I", body, 4)[0], len(body) + len(body) % 2
    count = struct.unpack_from(f"{order}H", body, start)[0]
    struct.pack_into(f"{order}I", body, start + 2 + 12 * count, end)  # where the next directory is
    body += bytes(end - len(body)) + struct.pack(f"{order}H", 3)
    for tag, kind, value in ((259, 3, 6), (513, 4, end + 2 + 36 + 4), (514, 4, len(thumbnail))):
        body += struct.pack(f"{order}HHI", tag, kind, 1) + struct.pack(
            f"{order}{'HH' if kind == 3 else 'I'}", *((value, 0) if kind == 3 else (value,))
        )
    body += bytes(4) + thumbnail
    resource = b"8BIM" + struct.pack(">HHI", 0x0404, 0, len(IPTC)) + IPTC + bytes(len(IPTC) % 2)
    extra = b""
    for marker, segment in ((0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP), (0xED, b"Photoshop 3.0\0" + resource)):
        extra += struct.pack(">BBH", 0xFF, marker, len(segment) + 2) + segment
    icc, _ = matrix_profile(ADOBE_RGB, 2.2)
    options = {"dpi": (240, 240), "comment": "a mill, é".encode(), "icc_profile": icc, "extra": extra, "quality": 95}
    content = saved(photo, "JPEG", exif=b"Exif\0\0" + bytes(body), **options)
    with Image.open(io.BytesIO(content)) as image:
        assert image.getexif().get_ifd(THUMBNAIL)[514] == len(thumbnail)
    return content


def xmp_of(image):
    content = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    return content.encode() if isinstance(content, str) else content


UPRIGHT_XMP = XMP.replace(b'Orientation="6"', b'Orientation="1"')
