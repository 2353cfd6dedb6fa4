"""The lines about photos: processes that share an output must not mix them."""

import io
import json
import sys
from pathlib import Path

import pytest

from pix2pix.photofile.outcomes import Outcomes


class Unbuffered(io.StringIO):
    """Keeps what each call wrote, as a pipe gets it from `python -u`."""

    def __init__(self):
        super().__init__()
        self.writes = []

    def write(self, text):
        self.writes += [text] if text else []
        return len(text)


@pytest.mark.parametrize("as_json", [False, True])
def test_every_line_is_one_write(monkeypatch, as_json):
    out, errors = Unbuffered(), Unbuffered()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", errors)
    outcomes = Outcomes(as_json=as_json)
    outcomes.add(Path("a.jpg"), Path("b.jpg"), "done", "8 bits")
    outcomes.add(Path("c.jpg"), None, "failed", "c.jpg cannot be read")
    outcomes.remark("one left out")
    if as_json:
        assert [json.loads(text)["photo"] for text in out.writes] == ["a.jpg", "c.jpg"]
        assert all(text.endswith("}\n") for text in out.writes) and errors.writes == ["one left out\n"]
    else:
        assert out.writes == ["a.jpg -> b.jpg: 8 bits\n"]
        assert errors.writes == ["error: c.jpg cannot be read\n", "one left out\n"]
