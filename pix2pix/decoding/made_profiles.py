"""ICC profiles made here: one that measures L*, and one for colors that a file describes by its primaries.

ICC.1:2001-04 (version 2.4), with ICC.1:2004's parametric curves, which Little CMS reads in it too.
"""

from __future__ import annotations

import struct

import numpy as np

D50 = (0.9642, 1.0, 0.8249)
BRADFORD = np.array(((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296)))
Y_OF_D50_XYZ = (-0.0282895, 1.0099416, 0.0210077)  # the Y row of Bradford's D50 to D65

# A transfer curve as ICC's parametric curve: (g,) for x^g, or (g, a, b, c, d) for (a x + b)^g from d on and c x below.
Curve = tuple[float, ...]
SRGB_CURVE: Curve = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
BT709_CURVE: Curve = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)

D65 = (0.3127, 0.3290)
# x, y of red, green and blue, and of white
Primaries = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]
SRGB_PRIMARIES: Primaries = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), D65)


def rgb_profile(primaries: Primaries, curve: Curve) -> bytes:
    """A profile of RGB with these primaries and the same transfer curve for each channel.

    Raises ValueError for primaries that span no colors.
    """
    if any(y <= 0 for _, y in primaries):
        raise ValueError("are no primaries of colors")
    xyz = np.array([(x / y, 1, (1 - x - y) / y) for x, y in primaries])
    columns, white = xyz[:3].T, xyz[3]
    if abs(np.linalg.det(columns)) < 1e-6:
        raise ValueError("are no primaries of colors")
    columns = columns * np.linalg.solve(columns, white)  # R = G = B = 1 is white
    scale = np.diag((BRADFORD @ D50) / (BRADFORD @ white))
    adapted = np.linalg.inv(BRADFORD) @ scale @ BRADFORD @ columns
    kind = 0 if len(curve) == 1 else 3
    transfer = b"para" + bytes(4) + struct.pack(">HH", kind, 0) + fixed(*curve)
    tags = {name + b"TRC": transfer for name in (b"r", b"g", b"b")}
    for channel, name in enumerate((b"r", b"g", b"b")):
        tags[name + b"XYZ"] = b"XYZ " + bytes(4) + fixed(*adapted[:, channel])
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def lightness_profile() -> bytes:
    """A gray output profile whose values are L*, 0 to 65535 for 0 to 100: a 16-bit lookup table from D50 XYZ."""
    to_y = [value * 65535 / 32768 for value in Y_OF_D50_XYZ]  # 32768 stands for an XYZ of 1
    luminance = np.linspace(0, 1, 4096)
    lightness = np.where(luminance > 216 / 24389, 116 * np.cbrt(luminance) - 16, luminance * (24389 / 27))
    table = b"mft2" + bytes(4) + bytes((3, 1, 2, 0)) + fixed(*to_y, 0, 0, 0, 0, 0, 0)
    table += struct.pack(">HH", 2, len(luminance))
    table += struct.pack(">6H", *(0, 65535) * 3)  # input curves: none
    table += struct.pack(">8H", *(0,) * 4 + (65535,) * 4)  # the grid: the first channel as it is
    table += np.round(lightness * 655.35).astype(">u2").tobytes()
    return _profile(b"prtr", b"GRAY", b"XYZ ", {b"B2A0": table})


def fixed(*values: float) -> bytes:
    """Numbers as ICC's s15Fixed16Number."""
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = tags | {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"made\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": b"XYZ " + bytes(4) + fixed(*D50),
    }
    index, content, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, tag in tags.items():
        index += name + struct.pack(">II", start + len(content), len(tag))
        content += tag + bytes(-len(tag) % 4)
    header = struct.pack(">I4xI", start + len(content), 0x02400000) + kind + space + connection
    header += bytes(12) + b"acsp" + bytes(28) + fixed(*D50)
    return header.ljust(128, b"\0") + index + content
