import json

import pytest

from pix2pix.errors import UserError
from pix2pix.hints import Point
from pix2pix.photofile.points import check_points, parse_point, points_beside, read_points, write_points


def test_a_point_of_the_command_line():
    assert parse_point("412,230,#c0392b") == Point(412, 230, "#c0392b")
    assert parse_point(" 0 , 1.5 , navy ") == Point(0, 1.5, "navy")
    assert parse_point("1,2,rgb(10, 20, 30)").color == "rgb(10, 20, 30)"


@pytest.mark.parametrize(
    "text", ["", "1,2", "1;2;red", "a,2,red", "1,,red", "nan,2,red", "1,inf,red", "1,2,bleu", "1,2,", "1_0,2,red"]
)
def test_what_is_no_point_is_refused_with_an_example(text):
    with pytest.raises(UserError, match="no point X,Y,COLOR, as 412,230,#c0392b is") as caught:
        parse_point(text)
    assert repr(text) in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_written_is_read(tmp_path):
    points = [
        Point(412, 230, "#c0392b"),
        Point(0.5, 0, "navy", radius=3),
        Point(1, 2, "gray", page=2),
        Point(1, 2, "red", frame=0),
        Point(1, 2, "red", time=1.5),
    ]
    path = tmp_path / "scan.points.json"
    for content in (points, []):
        write_points(path, content)
        assert read_points(path) == content
    assert [file.name for file in tmp_path.iterdir()] == ["scan.points.json"]


def test_the_published_form_is_read_with_and_without_a_byte_order_mark(tmp_path):
    text = '{"points": [{"x": 412, "y": 230, "color": "#c0392b", "radius": 3, "page": 1, "frame": 0, "time": 1.5}]}'
    for encoding in ("utf-8", "utf-8-sig"):
        (tmp_path / "p.json").write_text(text, encoding=encoding)
        assert read_points(tmp_path / "p.json") == [Point(412, 230, "#c0392b", 3, 1, 0, 1.5)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON in UTF-8"),
        (b"\xff\xfe{", "not JSON in UTF-8"),
        (b"[" * 100_000, "not JSON in UTF-8"),
        (b"[]", "holds no"),
        (b"{}", "holds no"),
        (b'{"points": {}}', "holds no"),
        (b'{"points": [3]}', "point 1: 3 is no"),
        (b'{"points": [{"x": 1, "y": 2, "color": "red"}, {"x": 1, "y": 2}]}', "point 2: has no color"),
        (b'{"points": [{"x": 1, "color": "red", "y": 2, "hue": "red"}]}', "point 1: unknown 'hue'"),
        (b'{"points": [{"x": "1", "y": 2, "color": "red"}]}', "point 1: x is '1', not a number"),
        (b'{"points": [{"x": true, "y": 2, "color": "red"}]}', "point 1: x is True"),
        (b'{"points": [{"x": NaN, "y": 2, "color": "red"}]}', "point 1: x is nan"),
        (b'{"points": [{"x": 1, "y": 1e999, "color": "red"}]}', "point 1: y is inf"),
        (b'{"points": [{"x": 1, "y": 2, "color": "bleu"}]}', "point 1: 'bleu' is no color"),
        (b'{"points": [{"x": 1, "y": 2, "color": [1, 2, 3]}]}', "point 1: color is"),
        (b'{"points": [{"x": 1, "y": 2, "color": "red", "radius": -1}]}', "point 1: radius is -1"),
        (b'{"points": [{"x": 1, "y": 2, "color": "red", "page": 0}]}', "point 1: page is 0"),
        (json.dumps({"points": [{}] * 10_001}).encode(), "10001 points"),
    ],
)
def test_a_wrong_file_is_named_with_the_point(tmp_path, content, reason):
    path = tmp_path / "scan.points.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=reason) as caught:
        read_points(path)
    assert "scan.points.json" in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_files_that_are_none_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"gone\.json.*No such file"):
        read_points(tmp_path / "gone.json")
    with pytest.raises(UserError, match="a folder"):
        read_points(tmp_path)
    with pytest.raises(UserError, match=r"cannot write .*none"):
        write_points(tmp_path / "none" / "points.json", [])


def test_the_points_beside_a_photo(tmp_path):
    assert points_beside(tmp_path / "scan.jpg") is None
    (tmp_path / "scan.points.json").mkdir()
    assert points_beside(tmp_path / "scan.jpg") is None
    (tmp_path / "a.b.points.json").write_text("{}")
    assert points_beside(tmp_path / "a.b.tif") == tmp_path / "a.b.points.json"


@pytest.mark.parametrize(("x", "y"), [(-1, 0), (0, -0.5), (400, 0), (0, 300)])
def test_a_point_outside_is_named_with_the_photo_and_its_size(x, y):
    check_points([Point(0, 0, "red"), Point(399.5, 299, "red")], 400, 300, "scan.jpg")
    with pytest.raises(UserError, match=r"outside scan\.jpg, which has 400x300 pixels") as caught:
        check_points([Point(0, 0, "red"), Point(x, y, "red")], 400, 300, "scan.jpg")
    assert len(str(caught.value)) < 200
