"""The arithmetic of the benchmarks, and the network that one of them rebuilds; nothing is timed."""

import argparse
import json
import sys

import pytest
import torch
from conftest import ROOT
from PIL import Image

sys.path.insert(0, str(ROOT / "benchmarks"))  # its scripts run from there

import measure
from ddcolor import DDColorTiny
from siggraph17 import Siggraph17Generator


def test_speedup_is_of_the_medians_and_counts_the_work():
    seconds = {"ours": [1.0, 9.0, 2.0], "theirs": [6.0, 30.0, 1.0]}
    assert measure.speedup(seconds, "ours", "theirs") == 3
    assert measure.speedup(seconds, "theirs", "ours") == pytest.approx(1 / 3)
    assert measure.speedup(seconds, "ours", "theirs", work=(50, 10)) == 15  # 25 a second against 10 in 6


def test_sides_take_turns_after_a_round_that_does_not_count():
    calls = []

    def side(name):
        return lambda: calls.append(name) or float(len(calls))

    seconds = measure.alternate({"a": side("a"), "b": side("b")}, runs=2)
    assert "".join(calls) == "ababab"
    assert seconds == {"a": [3.0, 5.0], "b": [4.0, 6.0]}


def test_targets_are_met_from_their_side(tmp_path, capsys):
    output = tmp_path / "inner" / "results.json"
    report = measure.Report("name", argparse.Namespace(output=output, runs=3))
    report.add("more", 25, at_least=25)
    report.add("less", 24.9, "times", at_least=25)
    report.add("small", 4, at_most=4)
    report.add("large", 4.1, at_most=4)
    report.add("free", 7)
    report.keep({"side": [1.0, 2.0]})
    report.write()
    printed = capsys.readouterr().out.splitlines()[1:]
    assert "at least 25: 25" in printed[0] and "at least 25: 24.9 times  (missed)" in printed[1]
    assert [line.endswith("(missed)") for line in printed[:5]] == [False, True, False, True, False]
    saved = json.loads(output.read_text())
    assert [line["met"] for line in saved["results"]] == [True, False, True, False, None]
    assert saved["seconds"] == {"side": [1.0, 2.0]} and saved["flags"]["runs"] == "3"


def test_made_photos_differ_and_repeat(tmp_path):
    paths = measure.make_photos(tmp_path / "photos", 2, 300, 200)
    images = [Image.open(path) for path in paths]
    assert [image.size for image in images] == [(300, 200)] * 2
    assert images[0].tobytes() != images[1].tobytes()
    assert measure.make_photo(300, 200, 1).tobytes() == measure.make_photo(300, 200, 1).tobytes()


def test_a_child_that_fails_shows_its_output():
    with pytest.raises(RuntimeError, match="no such thing"):
        measure.run_process("-c", "raise SystemExit('no such thing')")


def test_siggraph17_has_the_papers_shape():
    """Zhang et al. 2017: ab of the input's size; an eighth of it inside, dilated twice, 512 channels."""
    network, inside = Siggraph17Generator().eval(), []
    handles = [block.register_forward_hook(lambda *args: inside.append(args[2].shape)) for block in network.down]
    with torch.inference_mode():
        ab = network(torch.zeros(2, 1, 64, 48))
    assert ab.shape == (2, 2, 64, 48)
    assert [tuple(shape[1:]) for shape in inside] == [
        (64, 64, 48), (128, 32, 24), (256, 16, 12), (512, 8, 6), (512, 8, 6), (512, 8, 6), (512, 8, 6)
    ]  # fmt: skip
    dilations = [{layer.dilation for layer in block if isinstance(layer, torch.nn.Conv2d)} for block in network.down]
    assert dilations == [{(1, 1)}] * 4 + [{(2, 2)}] * 2 + [{(1, 1)}]
    assert len(handles) == 7


def test_ddcolor_has_the_papers_shape():
    """Kang et al. 2023: 100 color queries look at three scales in turn, nine times, and make a map each."""
    network, seen = DDColorTiny().eval(), []
    for block in network.color_blocks:
        block.register_forward_hook(lambda block, inputs, queries: seen.append((inputs[2].shape[1], queries.shape)))
    with torch.inference_mode():
        ab = network(torch.zeros(2, 1, 64, 96))
    assert ab.shape == (2, 2, 64, 96)
    assert [pixels for pixels, _ in seen] == [4 * 6, 8 * 12, 16 * 24] * 3
    assert {shape for _, shape in seen} == {(2, 100, 256)}
