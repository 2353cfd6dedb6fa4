import os
import pickle
import zipfile

import pytest
import torch

from pix2pix import checkpoint
from pix2pix.checkpoint import load_generator, load_training, save_generator, save_training
from pix2pix.errors import UserError
from pix2pix.unet import GeneratorConfig, UNetGenerator


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A small generator that has seen a batch, and its file."""
    torch.manual_seed(0)
    network = UNetGenerator(GeneratorConfig(decoder_widths=(32, 16, 8, 8))).train()
    network(torch.rand(2, 1, 64, 64))
    path = tmp_path_factory.mktemp("saved") / "generator.pt"
    save_generator(path, network.eval(), size=128, about={"stage": "pretrain", "results": {"psnr": 20.5}})
    return network, path


def test_a_generator_file_gives_back_the_network(saved):
    network, path = saved
    loaded = load_generator(path)
    assert loaded.network.config == network.config and loaded.size == 128
    assert loaded.about == {"stage": "pretrain", "results": {"psnr": 20.5}}
    lightness = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(loaded.network.eval()(lightness), network(lightness), atol=2e-3)  # fp16 in the file
    assert path.stat().st_size < 2.1 * sum(parameter.numel() for parameter in network.parameters())


def test_a_generator_that_takes_hints_comes_back_as_one(tmp_path):
    torch.manual_seed(0)
    network = UNetGenerator(GeneratorConfig(decoder_widths=(8, 8, 8, 8), hints=True)).eval()
    save_generator(tmp_path / "g.pt", network, size=128, about={})
    again = load_generator(tmp_path / "g.pt").network.eval()
    assert again.takes_hints and again.config == network.config
    lightness, hints = torch.rand(1, 1, 64, 64), torch.zeros(1, 3, 64, 64)
    hints[0, :, 30, 30] = 1
    with torch.inference_mode():
        assert torch.allclose(again(lightness, hints), network(lightness, hints), atol=2e-3)  # fp16 in the file
    stored = torch.load(tmp_path / "g.pt", weights_only=True)["weights"]
    assert stored["hint_layers.decoder.weight"].dtype == stored["encoder.conv1.weight"].dtype == torch.float16
    assert stored["encoder.bn1.running_var"].dtype == torch.float32


def test_files_of_the_first_format_load_and_take_no_hints(saved, tmp_path):
    content = torch.load(saved[1], weights_only=True)
    del content["shape"]["hints"]
    torch.save(content | {"format": 1}, tmp_path / "old.pt")
    again = load_generator(tmp_path / "old.pt").network
    assert not again.takes_hints
    assert torch.equal(again.head.conv.weight, load_generator(saved[1]).network.head.conv.weight)


def test_foreign_and_damaged_files_are_refused(saved, tmp_path):
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.pt")
    (tmp_path / "words.pt").write_text("words")
    (tmp_path / "empty.pt").touch()
    whole = saved[1].read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    content = torch.load(saved[1], weights_only=True)
    torch.save(content | {"format": 99}, tmp_path / "newer.pt")
    torch.save(content | {"shape": {"decoder_widths": [8, 8, 8, 8]}}, tmp_path / "misfit.pt")
    torch.save(content | {"shape": content["shape"] | {"hints": True}}, tmp_path / "hintless.pt")
    (tmp_path / "dot.pt").write_text(".")
    torch.save({"kind": checkpoint.GENERATOR}, tmp_path / "nothing.pt")
    (tmp_path / "folder.pt").mkdir()
    expected = {
        "other": "another program's file",
        "words": "damaged",
        "empty": "damaged",
        "cut": "damaged",
        "newer": "format 99",
        "dot": "damaged",
        "nothing": "format None",
        "misfit": "do not fit",
        "hintless": "do not fit",
        "folder": "is a folder",
        "gone": "there is no",
    }
    for name, reason in expected.items():
        with pytest.raises(UserError, match=reason) as caught:
            load_generator(tmp_path / f"{name}.pt")
        assert f"{name}.pt" in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_would_run_code_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    torch.save({"kind": checkpoint.GENERATOR, "format": 1, "weights": Evil()}, tmp_path / "evil.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Evil()))
    for name in ("evil.pt", "plain.pt"):
        with pytest.raises(UserError, match=name):
            load_generator(tmp_path / name)
    assert not (tmp_path / "owned").exists()


def test_an_archive_that_would_fill_the_memory_is_refused(saved, tmp_path):
    with zipfile.ZipFile(saved[1]) as whole, zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as bomb:
        for name in [name for name in whole.namelist() if "/data/" not in name]:
            bomb.writestr(name, whole.read(name))
        for name in [name for name in whole.namelist() if "/data/" in name][:4]:
            bomb.writestr(name, bytes(50_000_000))
    assert (tmp_path / "bomb.pt").stat().st_size < 2_000_000
    content = torch.load(saved[1], weights_only=True)
    torch.save(content | {"shape": {"decoder_widths": [10**9] * 4}}, tmp_path / "wide.pt")
    for name in ("bomb.pt", "wide.pt"):
        with pytest.raises(UserError, match=name):
            load_generator(tmp_path / name)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.pt")
    with pytest.raises(UserError, match="no regular file"):
        load_generator(tmp_path / "pipe.pt")


def test_the_two_kinds_of_file_are_told_apart(saved, tmp_path):
    save_training(tmp_path / "last.pt", {"stage": "gan", "step": 3})
    assert load_training(tmp_path / "last.pt")["step"] == 3
    with pytest.raises(UserError, match=r"is a pix2pix training checkpoint.*use .*generator\.pt"):
        load_generator(tmp_path / "last.pt")
    with pytest.raises(UserError, match="is a pix2pix generator, not"):
        load_training(saved[1])


def test_a_write_that_fails_leaves_the_earlier_file(tmp_path):
    resource = pytest.importorskip("resource")
    save_training(tmp_path / "last.pt", {"step": 1})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"cannot write .*last\.pt .*before is unchanged"):
            save_training(tmp_path / "last.pt", {"step": 2, "weights": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert load_training(tmp_path / "last.pt")["step"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


def test_a_run_of_an_older_version_is_named_as_such(tmp_path):
    torch.save({"kind": checkpoint.TRAINING, "format": 1, "step": 3}, tmp_path / "last.pt")
    with pytest.raises(UserError, match=r"last\.pt has format 1, this program knows 2: an older version wrote it"):
        load_training(tmp_path / "last.pt")
