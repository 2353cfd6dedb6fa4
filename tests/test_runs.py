"""Run folders: their numbers, which of them is the latest, which generator file is taken."""

import pytest

from pix2pix import runs as runs_module
from pix2pix.errors import UserError
from pix2pix.runs import create_run, find_generator, latest_run, read_config


def test_runs_are_numbered(tmp_path):
    runs = tmp_path / "runs"
    assert [create_run(runs, stage).name for stage in ("pretrain", "gan", "gan")] == [
        "001-pretrain",
        "002-gan",
        "003-gan",
    ]
    assert latest_run(runs) is None
    for name in ("001-pretrain", "002-gan"):
        (runs / name / "generator.pt").touch()
    assert latest_run(runs) == runs / "002-gan" and latest_run(runs, "pretrain") == runs / "001-pretrain"
    (runs / "notes").mkdir()
    (runs / "1000-gan").mkdir()
    assert create_run(runs, "gan").name == "1001-gan"
    with pytest.raises(UserError, match="notes is not the folder of a run"):
        read_config(runs / "notes")


def test_which_generator_is_taken(tmp_path, monkeypatch):
    shipped, runs = tmp_path / "shipped.pt", tmp_path / "runs"
    monkeypatch.setattr(runs_module, "SHIPPED_GENERATOR", shipped)
    with pytest.raises(UserError, match="no weights"):
        find_generator(None, runs=runs)
    run = create_run(runs, "gan")
    (run / "generator.pt").touch()
    assert find_generator(None, runs=runs) == run / "generator.pt"
    shipped.touch()
    assert find_generator(None, runs=runs) == shipped
    assert find_generator(None, runs=runs, prefer_run=True) == run / "generator.pt"
    assert find_generator(run, runs=runs) == run / "generator.pt"
    with pytest.raises(UserError, match=r"no generator\.pt in"):
        find_generator(tmp_path, runs=runs)
