"""XMP packets without what is no longer true of a colorized photo.

A gain map (Ultra HDR), the video of a motion photo, a depth map and a small preview lie elsewhere in the file, and are
not written again; XMP that still announced them would mislead the programs that look for them.
"""

from __future__ import annotations

import re

# The beginnings of the names of namespaces of which nothing is kept: gain maps, the other files in this one, depth.
GONE_NAMESPACES = (
    b"http://ns.adobe.com/hdr-gain-map/", b"http://ns.apple.com/HDRGainMap/", b"http://ns.apple.com/HDRToneMap/",
    b"http://ns.apple.com/pixeldatainfo/", b"http://ns.apple.com/depthData/", b"http://ns.apple.com/depthBlurEffect/",
    b"http://ns.apple.com/portraitEffectsMatte/", b"http://ns.apple.com/semanticSegmentationMatte/",
    b"http://ns.google.com/photos/1.0/container/", b"http://ns.google.com/photos/1.0/depthmap/",
    b"http://ns.google.com/photos/1.0/image/", b"http://ns.google.com/photos/1.0/audio/",
    b"http://ns.google.com/photos/1.0/focus/", b"http://ns.google.com/photos/dd/1.0/",
    b"http://ns.xiaomi.com/photos/1.0/camera/",
)  # fmt: skip
# Of others only these properties: the video's, the rest of an XMP too long for one segment, and previews.
GONE_PROPERTIES = {
    b"http://ns.google.com/photos/1.0/camera/": rb"(?:MicroVideo|MotionPhoto|HdrPlusMakernote|shot_log_data)\w*",
    b"http://ns.adobe.com/xmp/note/": rb"HasExtendedXMP",
    b"http://ns.adobe.com/xap/1.0/": rb"Thumbnails",
    b"http://ns.adobe.com/photoshop/1.0/": rb"(?:DepthMap|AuxiliaryImage)\w*",
}
NAMESPACE = re.compile(rb"""xmlns:([\w.-]+)\s*=\s*["']([^"']*)["']""")
ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*['\"]|>))[0-9]")
FORGOTTEN = "the gain map, video, depth map or preview that its XMP announces is left out"


def without_stale_entries(packet: bytes) -> tuple[bytes, bool]:
    """The packet, upright and without entries about what is gone, and whether it had announced another picture."""
    packet = ORIENTATION.sub(rb"\g<1>1", packet)
    announced = False
    for prefix, namespace in dict(NAMESPACE.findall(packet)).items():
        is_gone = namespace.startswith(GONE_NAMESPACES)
        names = rb"[\w.-]+" if is_gone else GONE_PROPERTIES.get(namespace)
        if names is None:
            continue
        changed = _without(packet, re.escape(prefix) + b":", names)
        announced |= changed != packet
        if is_gone:
            changed = re.sub(rb"\s*xmlns:" + re.escape(prefix) + rb"""\s*=\s*(?:"[^"]*"|'[^']*')""", b"", changed)
        packet = changed
    return packet, announced


def _without(packet: bytes, prefix: bytes, names: bytes) -> bytes:
    """The packet without the attributes and elements of these names."""
    whole = prefix + rb"(?:" + names + rb")"
    packet = re.sub(rb"<(" + whole + rb")(?=[\s>])(?:[^<>]*[^<>/])?>.*?</\1\s*>\s*", b"", packet, flags=re.DOTALL)
    packet = re.sub(rb"<" + whole + rb"(?=[\s/>])[^<>]*/>\s*", b"", packet)
    return re.sub(rb"\s+" + whole + rb"""\s*=\s*(?:"[^"]*"|'[^']*')""", b"", packet)
