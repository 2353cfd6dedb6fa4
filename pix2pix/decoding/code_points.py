"""Colors described by numbers in place of a profile: the code points of PNG, AVIF and HEIF, and PNG's gamma.

ITU-T H.273 (2023) tables 2 and 3 for the code points; PNG (third edition) 11.3.2 for gAMA, cHRM and cICP.
"""

from __future__ import annotations

from pix2pix.decoding.made_profiles import (
    BT709_CURVE,
    D65,
    SRGB_CURVE,
    SRGB_PRIMARIES,
    Curve,
    Primaries,
    rgb_profile,
)  # fmt: skip

LARGEST_PROFILE = 1 << 25  # bytes of a profile that a file may hold
ILLUMINANT_C, DCI_WHITE, E = (0.310, 0.316), (0.314, 0.351), (1 / 3, 1 / 3)
SMPTE_170M: Primaries = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65)
PRIMARIES: dict[int, Primaries] = {
    1: SRGB_PRIMARIES,
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), ILLUMINANT_C),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), D65),
    6: SMPTE_170M,
    7: SMPTE_170M,
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), ILLUMINANT_C),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65),
    10: ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0), E),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), DCI_WHITE),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), D65),
}
CURVES: dict[int, Curve] = {
    1: BT709_CURVE, 4: (2.2,), 5: (2.8,), 6: BT709_CURVE, 8: (1.0,), 13: SRGB_CURVE, 14: BT709_CURVE, 15: BT709_CURVE,
    17: (2.6,),
}  # fmt: skip
UNSPECIFIED = 2
SRGB_CODE_POINTS = ((1, 13), (2, 13), (1, 2), (2, 2))
# AVIF and HEIF are video, whose code for "BT.709" is what encoders give to photos that are sRGB.
VIDEO_CODE_POINTS = (*SRGB_CODE_POINTS, (1, 1), (2, 1), (1, 6), (6, 6), (2, 6))
HDR = {16: "PQ", 18: "HLG"}
PNG_GAMMA = 0.45455  # what programs write for sRGB; its curve, and not a plain power, is then meant
GAMMA_TOLERANCE = 0.02


def profile_of_code_points(primaries: int, transfer: int, *, video: bool = False) -> tuple[bytes | None, str]:
    """(a profile, None for sRGB; a note where the numbers cannot be honored) for H.273's code points."""
    if (primaries, transfer) in (VIDEO_CODE_POINTS if video else SRGB_CODE_POINTS):
        return None, ""
    if transfer in HDR:
        return None, f"its brightness is coded for HDR screens ({HDR[transfer]}), which is read as sRGB"
    known = PRIMARIES.get(primaries, SRGB_PRIMARIES if primaries == UNSPECIFIED else None)
    curve = CURVES.get(transfer, SRGB_CURVE if transfer == UNSPECIFIED else None)
    if known is None or curve is None:
        return None, f"its colors are described by unknown numbers ({primaries} and {transfer}): read as sRGB"
    return _profile(known, curve)


def profile_of_gamma(gamma: float | None, chromaticities: tuple[float, ...] | None) -> tuple[bytes | None, str]:
    """The same for PNG's gAMA and cHRM (x and y of white, red, green and blue)."""
    curve, primaries = SRGB_CURVE, SRGB_PRIMARIES
    if gamma is not None and abs(gamma - PNG_GAMMA) > GAMMA_TOLERANCE:
        if not 0.05 < gamma < 5:
            return None, f"its gamma of {gamma:g} is none of a photo: read as sRGB"
        curve = (1 / gamma,)
    if chromaticities is not None and len(chromaticities) == 8:
        white, *colors = zip(chromaticities[::2], chromaticities[1::2], strict=True)
        primaries = (colors[0], colors[1], colors[2], white)
    near = all(
        abs(one - other) < 0.002
        for found, known in zip(primaries, SRGB_PRIMARIES, strict=True)
        for one, other in zip(found, known, strict=True)
    )
    return (None, "") if near and curve is SRGB_CURVE else _profile(primaries, curve)


def _profile(primaries: Primaries, curve: Curve) -> tuple[bytes | None, str]:
    try:
        return rgb_profile(primaries, curve), ""
    except ValueError as error:
        return None, f"its primaries {error}: read as sRGB"
