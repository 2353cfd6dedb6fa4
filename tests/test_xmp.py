"""XMP without what is no longer true: gain maps, videos, depth maps, previews, orientation."""

import xml.dom.minidom

import pytest
from photo_files import UPRIGHT_XMP, XMP, read, saved

from pix2pix.photofile.xmp import FORGOTTEN, without_stale_entries

NAMESPACES = {
    "hdrgm": "http://ns.adobe.com/hdr-gain-map/1.0/",
    "Container": "http://ns.google.com/photos/1.0/container/",
    "Item": "http://ns.google.com/photos/1.0/container/item/",
    "GCamera": "http://ns.google.com/photos/1.0/camera/",
    "GDepth": "http://ns.google.com/photos/1.0/depthmap/",
    "GImage": "http://ns.google.com/photos/1.0/image/",
    "HDRGainMap": "http://ns.apple.com/HDRGainMap/1.0/",
    "xmpNote": "http://ns.adobe.com/xmp/note/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
}


def packet(attributes="", elements=""):
    """An XMP packet whose only entry of another kind is the creator."""
    names = " ".join(f'xmlns:{prefix}="{name}"' for prefix, name in NAMESPACES.items())
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description {names} dc:format="image/jpeg" {attributes}>{elements}<dc:creator>André</dc:creator>'
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


DIRECTORY = (
    '<Container:Directory><rdf:Seq><rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="Primary"/></rdf:li>'
    '<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="GainMap" Item:Length="8"/></rdf:li></rdf:Seq>'
    "</Container:Directory>"
)


@pytest.mark.parametrize(
    ("attributes", "elements"),
    [
        ('hdrgm:Version="1.0"', DIRECTORY),
        ("hdrgm:Version='1.0'", ""),
        ("", "<hdrgm:Version>1.0</hdrgm:Version>"),
        (
            'GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1"',
            DIRECTORY,
        ),
        ('GCamera:MicroVideo="1" GCamera:MicroVideoOffset="4711"', ""),
        ("", "<GCamera:MotionPhoto>1</GCamera:MotionPhoto>"),
        ('GDepth:Format="RangeInverse" GDepth:Near="1.5" GImage:Mime="image/jpeg"', "<GDepth:Data>AAAA</GDepth:Data>"),
        ('HDRGainMap:HDRGainMapVersion="65536"', ""),
        ('xmpNote:HasExtendedXMP="0123456789ABCDEF"', ""),
        ("", '<xmp:Thumbnails><rdf:Alt><rdf:li rdf:parseType="Resource"/></rdf:Alt></xmp:Thumbnails>'),
    ],
)
def test_entries_about_what_is_gone_are_dropped(photo, attributes, elements):
    before = packet(attributes, elements)
    after, announced = without_stale_entries(before)
    assert announced
    xml.dom.minidom.parseString(after)
    for word in ("GainMap", "hdrgm", "MotionPhoto", "MicroVideo", "GDepth", "GImage", "Extended", "Thumb", "Container"):
        assert word.encode() not in after
    assert "<dc:creator>André</dc:creator>".encode() in after and b'dc:format="image/jpeg"' in after
    page = read(saved(photo, "JPEG", xmp=before))
    assert page.metadata.xmp == after and page.notes == [FORGOTTEN]


def test_other_entries_stay_byte_for_byte():
    before = packet('GCamera:BurstID="7" xmp:Rating="5"', "<dc:title>a GainMap, by name</dc:title>")
    kept = before
    for prefix in ("hdrgm", "Container", "Item", "GDepth", "GImage", "HDRGainMap"):
        kept = kept.replace(f' xmlns:{prefix}="{NAMESPACES[prefix]}"'.encode(), b"")
    after, announced = without_stale_entries(before)
    assert not announced and after.split() == kept.split()
    assert b'GCamera:BurstID="7" xmp:Rating="5"' in after and b"<dc:title>a GainMap, by name</dc:title>" in after


def test_the_photo_is_upright():
    assert without_stale_entries(XMP) == (UPRIGHT_XMP, False)
    element = b"<tiff:Orientation>8</tiff:Orientation>"
    assert without_stale_entries(element)[0] == b"<tiff:Orientation>1</tiff:Orientation>"
