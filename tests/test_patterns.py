"""photofile/patterns.py: patterns that the shell left as they are."""

import os
from pathlib import Path

import pytest

from pix2pix.photofile.patterns import expand, is_in, matches


@pytest.fixture(autouse=True)
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.jpg", "c.png", ".hidden.jpg", "br[1990]/x.jpg", "br[1990]/y.png", "br1/z.jpg",
                 "deep/er/br[1990]/v.jpg", "s[1].jpg", "star*/s.jpg", "q?.jpg"):  # fmt: skip
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.jpg", ["a.jpg", "b.jpg", "q?.jpg", "s[1].jpg"]),
        ("[ab].jpg", ["a.jpg", "b.jpg"]),
        ("?.png", ["c.png"]),
        ("br[1990]/*.jpg", ["br[1990]/x.jpg"]),  # the folder of that name, not br1
        ("br[12]/*.jpg", ["br1/z.jpg"]),
        ("br*/*.jpg", ["br1/z.jpg", "br[1990]/x.jpg"]),
        ("br[1990]/[xy].*", ["br[1990]/x.jpg", "br[1990]/y.png"]),
        ("deep/*/br[1990]/*", ["deep/er/br[1990]/v.jpg"]),
        ("**/br[1990]/*.jpg", ["br[1990]/x.jpg", "deep/er/br[1990]/v.jpg"]),
        ("**/*.png", ["br[1990]/y.png", "c.png"]),
        ("s[1]*.jpg", ["s[1].jpg"]),  # nothing begins with s1
        ("star*/*", ["star*/s.jpg"]),
        ("./br[1990]/../*.png", ["br[1990]/../c.png"]),
        ("deep/**", ["deep", "deep/er", "deep/er/br[1990]", "deep/er/br[1990]/v.jpg"]),
        ("none*", []),
        ("gone/*.jpg", []),
        ("a.jpg/*", []),
    ],
)
def test_what_patterns_stand_for(pattern, names):
    assert [str(path) for path in matches(Path(pattern))] == sorted(names)
    absolute = Path.cwd() / pattern
    assert [os.path.relpath(path) for path in matches(absolute)] == sorted(map(os.path.relpath, names))


def test_what_is_there_is_no_pattern():
    assert expand([Path("s[1].jpg"), Path("q?.jpg"), Path("-")], None) == [Path("s[1].jpg"), Path("q?.jpg"), Path("-")]
    assert expand([Path("none*.jpg"), Path("?.png")], None) == [Path("none*.jpg"), Path("c.png")]


def test_the_output_folder_is_left_out_of_patterns():
    assert expand([Path("br*")], Path("br1")) == [Path("br[1990]")]
    assert expand([Path("br*/*.jpg")], Path("br1")) == [Path("br[1990]/x.jpg")]
    assert expand([Path("br1")], Path("br1")) == [Path("br1")]  # nothing else is named


def test_a_place_in_a_folder_links_followed():
    Path("link").symlink_to("deep", target_is_directory=True)
    assert is_in(Path("link/er"), Path("deep")) and is_in(Path("deep"), Path("link"))
    assert not is_in(Path("deeper"), Path("deep")) and not is_in(Path("deep"), Path("deep/er"))
