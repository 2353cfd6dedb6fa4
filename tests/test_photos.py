import os
import shutil
import struct
import tarfile
import zlib

import numpy as np
import pytest
from PIL import Image, features

from pix2pix.data.photos import find_photos, read_photo
from pix2pix.decoding.opening import PHOTO_SUFFIXES
from pix2pix.errors import UserError


def test_a_folder_is_searched_recursively_and_sorted(photo_folder):
    (photo_folder / "notes.txt").write_text("no photo")
    names = [photo.name for photo in find_photos([photo_folder])]
    assert len(names) == 12 and names == sorted(names)
    assert names[0] == "01.png" and names[-1] == "inner/10.jpg"


def test_links_in_a_circle_end_and_what_is_no_file_is_named(photo_folder):
    (photo_folder / "inner" / "again").symlink_to(photo_folder)
    (photo_folder / "._01.png").write_text("what macOS leaves")
    assert len(find_photos([photo_folder])) == 12
    (photo_folder / "gone.jpg").symlink_to(photo_folder / "nowhere.jpg")
    (photo_folder / "loop.jpg").symlink_to(photo_folder / "loop.jpg")
    os.mkfifo(photo_folder / "pipe.jpg")
    (photo_folder / "device.jpg").symlink_to("/dev/zero")
    photos = {photo.name: photo for photo in find_photos([photo_folder])}
    assert len(photos) == 16
    reasons = {"gone": "there is no photo gone.jpg", "loop": "loop.jpg", "pipe": "no regular file"}
    for name, reason in (reasons | {"device": "no regular file"}).items():
        with pytest.raises(UserError, match=reason):
            read_photo(photos[f"{name}.jpg"])
    with pytest.raises(UserError, match=r"pipe\.jpg is no regular file"):
        find_photos([photo_folder / "pipe.jpg"])


def test_a_tar_gives_the_same_photos_as_its_folder(photo_folder, tmp_path):
    with tarfile.open(tmp_path / "photos.tar", "w") as tar:
        tar.add(photo_folder, arcname=".")
    in_tar, in_folder = find_photos([tmp_path / "photos.tar"]), find_photos([photo_folder])
    assert [photo.name.removeprefix("./") for photo in in_tar] == [photo.name for photo in in_folder]
    for one, other in zip(in_tar, in_folder, strict=True):
        assert np.array_equal(read_photo(one), read_photo(other))


def test_names_of_two_sources_are_told_apart(photo_folder, tmp_path):
    (tmp_path / "other").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "other" / "01.png")
    names = {photo.name for photo in find_photos([photo_folder, tmp_path / "other"])}
    assert {"photos/01.png", "other/01.png"} <= names and len(names) == 13
    with pytest.raises(UserError, match="two photos are called"):
        find_photos([photo_folder, photo_folder])
    with pytest.raises(UserError, match="one photo, in two of the sources"):
        find_photos([photo_folder, photo_folder / "inner"])


def test_a_photo_is_turned_upright(tmp_path, real_photos):
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned a quarter to the right
    Image.fromarray(real_photos[0]).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(np.asarray(read_photo(tmp_path / "turned.png")), np.rot90(real_photos[0], -1))


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "1"])
def test_every_mode_becomes_rgb(tmp_path, real_photos, mode):
    suffix = "tif" if mode == "CMYK" else "png"
    Image.fromarray(real_photos[0]).convert(mode).save(tmp_path / f"photo.{suffix}")
    image = read_photo(tmp_path / f"photo.{suffix}")
    assert image.mode == "RGB" and image.size == (128, 96)


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    assert np.abs(np.asarray(read_photo(tmp_path / "deep.png"))[..., 0] - ramp / 257).max() <= 0.5


def test_what_cannot_be_read_is_named(tmp_path, real_photos):
    (tmp_path / "words.jpg").write_text("this is no photo")
    Image.fromarray(real_photos[0]).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:900])
    (tmp_path / "empty.png").touch()
    Image.fromarray(real_photos[0]).save(tmp_path / "bomb.png")
    content = bytearray((tmp_path / "bomb.png").read_bytes())
    content[16:24] = struct.pack(">II", 60_000, 60_000)  # pixels, for a decoder that believes it
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (tmp_path / "bomb.png").write_bytes(content)
    for name in ("words.jpg", "cut.jpg", "empty.png", "missing.jpg", "bomb.png"):
        with pytest.raises(UserError, match=name):
            read_photo(tmp_path / name)


def test_bad_sources_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("words")
    with pytest.raises(UserError, match=r"no photos in .*empty"):
        find_photos([tmp_path / "empty"])
    with pytest.raises(UserError, match=r"there is no .*nowhere"):
        find_photos([tmp_path / "nowhere"])
    with pytest.raises(UserError, match=r"notes\.txt is neither a folder"):
        find_photos([tmp_path / "notes.txt"])


def test_one_list_of_suffixes_for_all(tmp_path, real_photos):
    for suffix in PHOTO_SUFFIXES:
        (tmp_path / f"a{suffix}").write_bytes(b"")
        (tmp_path / f"B{suffix.upper()}").write_bytes(b"")
    assert len(find_photos([tmp_path])) == 2 * len(PHOTO_SUFFIXES)
    for suffix in (".jpg", ".jfif", ".jp2", ".avif", ".pgm", ".tif"):
        skip = {".jp2": "jpg_2000", ".avif": "avif"}.get(suffix)
        if skip is None or features.check(skip):
            Image.fromarray(real_photos[0][..., 0]).save(tmp_path / f"a{suffix}")
            assert read_photo(tmp_path / f"a{suffix}").size == (128, 96)


def test_folders_that_cannot_be_read_are_named(photo_folder, monkeypatch):
    list_folder = os.scandir

    def scandir(path):
        if str(path).endswith("inner"):
            raise PermissionError(13, "Permission denied", str(path))
        return list_folder(path)

    monkeypatch.setattr(os, "scandir", scandir)  # since root may read any folder
    unreadable = []
    assert len(find_photos([photo_folder], unreadable=unreadable)) == 6
    assert unreadable == [f"cannot read the folder {photo_folder / 'inner'}: Permission denied"]
    with pytest.raises(UserError, match=r"cannot read the folder .*inner: Permission denied; change its permissions"):
        find_photos([photo_folder])


def test_links_to_folders_are_followed_once(photo_folder, tmp_path):
    shutil.move(photo_folder / "inner", tmp_path / "elsewhere")
    for name in ("a link", "the same again"):
        (photo_folder / name).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(photo_folder)
    names = [photo.name for photo in find_photos([photo_folder])]
    assert len(names) == 12 and "a link/00.jpg" in names and not any("again" in name for name in names)


def test_photos_without_a_suffix_are_found_by_how_they_begin(photo_folder, tmp_path):
    (photo_folder / "01.png").rename(photo_folder / "DSC1931")
    (photo_folder / "Makefile").write_text("all:")
    (photo_folder / "inner" / ".hidden").write_bytes((photo_folder / "DSC1931").read_bytes())
    os.mkfifo(photo_folder / "pipe")
    photos = find_photos([photo_folder])
    assert len(photos) == 12 and read_photo(photos[-2]).size == (128, 96)
    assert "DSC1931" in [photo.name for photo in photos]
    with tarfile.open(tmp_path / "photos.tar", "w") as tar:
        tar.add(photo_folder, arcname=".")
    assert {photo.name.removeprefix("./") for photo in find_photos([tmp_path / "photos.tar"])} == {
        photo.name for photo in photos
    }
