"""Colorize a photo with the exported network: numpy, Pillow and onnxruntime, no PyTorch.

python -m pix2pix.export model.onnx; python examples/onnx_colorize.py model.onnx photo.jpg colorized.png
"""

import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

TO_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
WHITE = np.array([0.95047, 1.0, 1.08883])


def lightness_of(rgb: np.ndarray) -> np.ndarray:
    """sRGB uint8 (H, W, 3) to L / 50 - 1, float32 (H, W)."""
    curved = np.arange(256) / 255
    y = np.where(curved <= 0.04045, curved / 12.92, ((curved + 0.055) / 1.055) ** 2.4)[rgb] @ TO_XYZ[1]
    return ((116 * np.where(y > 0.008856, np.cbrt(y), 7.787 * y + 16 / 116) - 16) / 50 - 1).astype(np.float32)


def linear_rgb(lightness: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    f = np.stack([(y := (lightness * 50 + 66) / 116) + a * 110 / 500, y, np.maximum(y - b * 110 / 200, 0)], -1)
    return (np.where(f > 0.2068966, f**3, (f - 16 / 116) / 7.787) * WHITE) @ np.linalg.inv(TO_XYZ).T


def bicubic(old: int, new: int) -> np.ndarray:
    """The matrix (new, old) that enlarges one side."""
    place = (np.arange(new)[:, None] + 0.5) * old / new - 0.5
    near = np.floor(place).astype(int) + np.arange(-1, 3)
    t = np.abs(place - near)
    weight = np.where(t <= 1, (1.25 * t - 2.25) * t * t + 1, ((-0.75 * t + 3.75) * t - 6) * t + 3)
    return (weight[..., None] * np.eye(old, dtype=np.float32)[near.clip(0, old - 1)]).sum(1, dtype=np.float32)


session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
photo = np.asarray(ImageOps.exif_transpose(Image.open(sys.argv[2])).convert("RGB"))
lightness, (height, width) = lightness_of(photo), photo.shape[:2]
size = int(session.get_modelmeta().custom_metadata_map["size"])
small = [min(max(round(side * size / min(height, width)), 1), 4 * size) for side in (height, width)]
large, total, evening = [round(1.5 * side) for side in small], 0, 1
for view, turn in ((small, 1), (large, -1)):  # the larger one mirrored
    seen = np.asarray(Image.fromarray(lightness).resize(view[::-1], Image.Resampling.BILINEAR))
    given = {"lightness": seen[None, None, :, ::turn], "hints": np.zeros((1, 3, *view), np.float32)}
    ab = session.run(None, {i.name: given[i.name] for i in session.get_inputs()})[0][0, ..., ::turn]
    evening = (0.1 / max(np.sqrt(np.hypot(*ab)).mean() ** 2, 0.01)) ** 0.25 if view is small else evening
    total = total + bicubic(view[0], large[0]) @ ab @ bicubic(view[1], large[1]).T
rows, columns = (np.eye(n)[(np.arange(n)[:, None] + np.arange(-2, 3)).clip(0, n - 1)].mean(1) for n in large)
ab, mean = (total * evening / 2).clip(-1, 1), rows @ seen @ columns.T  # smoothed in windows of 5x5 by a guided filter
slope = (rows @ (ab * seen) @ columns.T - rows @ ab @ columns.T * mean) / (rows @ seen**2 @ columns.T - mean**2 + 0.01)
ab = rows @ slope @ columns.T * seen + rows @ (rows @ ab @ columns.T - slope * mean) @ columns.T
kept, (a, b) = np.zeros((height, width)), (bicubic(large[0], height) @ ab @ bicubic(large[1], width).T).clip(-1, 1)
for step in 0.5 ** np.arange(9):  # colors that sRGB does not have get paler
    linear = linear_rgb(lightness, a * (kept + step), b * (kept + step))
    kept += step * (((linear > -1e-4) & (linear < 1 + 1e-4)).all(-1) & (kept < 1))
linear = linear_rgb(lightness, a * kept, b * kept).clip(0, 1)
srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
Image.fromarray((srgb * 255).round().astype(np.uint8)).save(sys.argv[3])
