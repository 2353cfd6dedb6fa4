"""train.py's bad input: one clear line, a non-zero exit, and nothing left behind."""

import json
import runpy
import shutil
import signal
import sys
import time

import numpy as np
import pytest
import torch
from conftest import ROOT, output_of, process, save_photos
from narrow_widths import WIDTHS
from PIL import Image
from skimage.color import rgb2lab

from pix2pix import locks, recorder, run_data
from pix2pix.checkpoint import load_generator, load_training
from pix2pix.data import splits
from pix2pix.errors import UserError
from pix2pix.runs import Run
from pix2pix.unet import ResNet18Encoder

pytestmark = pytest.mark.usefixtures("narrow", "no_curves")
SMALL = ("--size", 32, "--batch-size", 4, "--epochs", 1, "--no-one-cycle", "--cache", "cache", "--encoder", "none")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, real_photos):
    """A folder with photos and a run that was trained on them."""
    folder = tmp_path_factory.mktemp("trained")
    words = ("--stage", "pretrain", "--data", save_photos(folder / "photos", real_photos), *SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["train.py", *map(str, words)])
        patch.setattr(ResNet18Encoder, "widths", WIDTHS)
        patch.setattr(recorder, "draw_curves", lambda history, path: None)
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
    assert not stop.value.code
    return folder


@pytest.fixture
def pretrained(trained, photo_folder, tmp_path):
    """The run, as if it had been trained on the photos of this test."""
    folder = shutil.copytree(trained / "runs", tmp_path / "runs") / "001-pretrain"
    config = (folder / "config.json").read_text().replace(str(trained), str(tmp_path))
    (folder / "config.json").write_text(config)
    return folder


def test_the_generator_knows_the_mean_color_of_its_training_photos(pretrained, photo_folder):
    """What scikit-image's Lab says of the same photos, within what every fourth pixel leaves out."""
    names = json.loads((pretrained / "split.json").read_text())["train"]
    labs = []
    for name in names:
        with Image.open(photo_folder / name) as image:
            labs.append(rgb2lab(np.asarray(image.resize((256, 256), Image.Resampling.BICUBIC))))
    expected = np.mean(labs, axis=(0, 1, 2))[1:]
    assert load_generator(pretrained / "generator.pt").about["mean_ab"] == pytest.approx(expected.tolist(), abs=0.1)


def test_photos_that_cannot_be_used(refused, photo_folder, tmp_path):
    def line(*data, more=()):
        return refused("train.py", "--stage", "pretrain", *SMALL, "--data", *data, *more)

    (tmp_path / "empty").mkdir()
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "a.txt").write_text("words")
    (tmp_path / "broken").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "broken" / name).write_text("words")
    (tmp_path / "one.txt").write_text("words")
    assert "there is no nowhere" in line("nowhere")
    assert "no photos in empty" in line("empty")
    assert "no photos in words" in line("words")
    assert "none of the 1 photos can be read" in line("broken")
    assert "one.txt is neither a folder" in line("one.txt")
    assert "less than one batch of 64" in line(photo_folder, more=("--batch-size", 64))
    Image.new("L", (20, 20), 90).save(tmp_path / "empty" / "gray.png")
    assert "the only photo" in line("empty")
    assert "none of the 1 photos has colors" in line("empty", more=("--val-data", photo_folder))
    assert not (tmp_path / "runs").exists()


def test_without_data_the_coco_sample_is_taken(run, refused, photo_folder, tmp_path, monkeypatch):
    def no_network(cache):
        raise UserError("cannot download the COCO sample (no network); give your own photos with --data FOLDER")

    monkeypatch.setattr(run_data, "download_coco_sample", no_network)
    assert "--data FOLDER" in refused("train.py", "--stage", "pretrain", *SMALL)
    monkeypatch.setattr(run_data, "download_coco_sample", lambda cache: photo_folder)
    monkeypatch.setattr(splits, "REPORT_PHOTOS", 12)
    monkeypatch.setattr(splits, "REPORT_TRAIN", 9)
    assert run("train.py", "--stage", "pretrain", *SMALL)[0] == 0
    split = json.loads((tmp_path / "runs" / "001-pretrain" / "split.json").read_text())
    assert (split["train"], split["validation"]) == splits.report_split([*split["train"], *split["validation"]])


def test_checkpoints_that_cannot_be_used(refused, run, pretrained, tmp_path):
    assert "no pretraining in elsewhere" in refused("train.py", "--stage", "gan", "--runs", "elsewhere")
    assert "nowhere is not the folder of a run" in refused("train.py", "--stage", "gan", "--from", "nowhere")
    assert "nowhere is not the folder of a run" in refused("train.py", "--resume", "nowhere")
    copy = shutil.copytree(pretrained, tmp_path / "copy")
    (copy / "last.pt").unlink()
    assert "there is no copy/last.pt" in refused("train.py", "--resume", "copy")
    (copy / "last.pt").write_text("words")
    assert "copy/last.pt cannot be read" in refused("train.py", "--resume", "copy")
    torch.save({"model": torch.zeros(2)}, copy / "last.pt")
    assert "another program's file" in refused("train.py", "--resume", "copy")
    shutil.copy(pretrained / "generator.pt", copy / "last.pt")
    assert "not a pix2pix training checkpoint" in refused("train.py", "--resume", "copy")
    shutil.copy(pretrained / "last.pt", copy / "last.pt")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"stage": "gan"}))
    assert "is of stage pretrain" in refused("train.py", "--resume", "copy")
    (pretrained / "generator.pt").write_text("words")
    assert "generator.pt cannot be read" in refused("train.py", "--stage", "gan", *SMALL[:-2])
    assert not (tmp_path / "runs" / "002-gan").exists()


def test_the_good_file_of_a_damaged_run_is_named(run, refused, pretrained):
    def damage(name):
        content = bytearray((pretrained / name).read_bytes())
        content[len(content) // 2] ^= 255
        (pretrained / name).write_bytes(content)

    best, last = (pretrained / "best.pt").read_bytes(), (pretrained / "last.pt").read_bytes()
    damage("last.pt")
    line = refused("train.py", "--resume", pretrained)
    assert "last.pt cannot be read" in line and "best.pt is good and stands after epoch 1" in line
    damage("best.pt")
    line = refused("train.py", "--resume", pretrained)
    assert f"best.pt cannot be read either; generator.pt is good: start a new run with --from {pretrained}" in line
    damage("generator.pt")
    assert "generator.pt" not in refused("train.py", "--resume", pretrained)
    (pretrained / "last.pt").write_bytes(last)
    assert run("train.py", "--resume", pretrained)[0] == 0  # reads neither of the other two
    (pretrained / "best.pt").write_bytes(best)
    shutil.copy(pretrained / "best.pt", pretrained / "last.pt")  # as told
    assert run("train.py", "--resume", pretrained)[0] == 0


def test_a_run_is_trained_by_one_process_at_a_time(refused, run, pretrained, tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    half = [pretrained / ".last-ab_12xyz.pt", pretrained / "samples" / ".step_000001-ab_12xyz.png"]
    mine = pretrained / ".notes"
    for path in (*half, mine):
        path.touch()
    before = (pretrained / "last.pt").read_bytes()
    with (pretrained / "config.json").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        line = refused("train.py", "--resume", pretrained)
        assert f"{pretrained} is being trained by another process" in line
        assert all(path.exists() for path in half) and (pretrained / "last.pt").read_bytes() == before
    assert run("train.py", "--resume", pretrained)[0] == 0
    assert not any(path.exists() for path in half) and mine.exists()
    monkeypatch.setattr(locks, "fcntl", None)  # as on Windows: no locks, and nothing is removed
    half[0].touch()
    assert run("train.py", "--resume", pretrained)[0] == 0 and half[0].exists()


def test_a_new_run_is_held_too(run, photo_folder, tmp_path, monkeypatch):
    pytest.importorskip("fcntl")

    def resume(*_):
        with pytest.raises(UserError, match="001-pretrain is being trained by another process"):
            Run.resume(tmp_path / "runs" / "001-pretrain").lock().__enter__()
        tried.append(True)

    tried = []
    monkeypatch.setattr(recorder, "draw_curves", resume)
    assert run("train.py", "--stage", "pretrain", "--data", photo_folder, *SMALL)[0] == 0 and tried


def test_a_resume_with_changed_flags(refused, run, pretrained, photo_folder):
    run_flags = ("train.py", "--resume", pretrained, "--cache", "cache")
    for flag, value in (("--batch-size", 8), ("--stage", "gan"), ("--epochs", 7), ("--lr", 0.5), ("--seed", 3)):
        line = refused(*run_flags, flag, value)
        assert "a resume keeps the run's settings" in line and flag in line and str(value) in line
    assert "--plain-resize" in refused(*run_flags, "--plain-resize")
    assert "--data" in refused(*run_flags, "--data", "elsewhere")
    assert run(*run_flags, "--batch-size", 4, "--data", photo_folder, "--stage", "pretrain")[0] == 0  # unchanged


def test_devices_and_encoders_that_are_not_there(refused, photo_folder, tmp_path):
    start = ("train.py", "--stage", "pretrain", "--data", photo_folder)
    assert "'cuda:99' is not there" in refused(*start, "--device", "cuda:99")
    assert "'toaster' is not there" in refused(*start, "--device", "toaster")
    assert "needs a CUDA GPU" in refused(*start, "--device", "cpu", "--precision", "fp16")
    assert f"no encoder weights at {tmp_path / 'gone.pth'}" in refused(
        *start, "--encoder", "gone.pth", "--cache", "cache"
    )
    assert not (tmp_path / "runs").exists()


def test_wrong_words_show_the_usage(run):
    for words in ([], ["--stage", "pretrain", "--batch-size", "0"], ["--stage", "pretrain", "--size", "8"]):
        code, _, errors = run("train.py", *words)
        assert code == 2 and "usage:" in errors


def test_a_full_disk_stops_with_a_line_and_keeps_the_last_checkpoint(run, photo_folder, tmp_path, monkeypatch):
    save, calls = torch.save, []

    def full(content, path):
        calls.append(path)
        if len(calls) > 1:
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        save(content, path)

    monkeypatch.setattr(torch, "save", full)
    code, _, errors = run("train.py", "--stage", "pretrain", "--data", photo_folder, *SMALL)
    assert code == 1 and errors.count("error:") == 1 and "No space left on device" in errors
    monkeypatch.undo()
    folder = tmp_path / "runs" / "001-pretrain"
    assert load_training(folder / "last.pt")["step"] == 0
    assert not list(folder.glob(".*"))


def test_broken_and_near_gray_photos_are_counted(run, photo_folder, real_photos, tmp_path):
    for number in range(30):
        Image.fromarray(real_photos[number % 12]).save(photo_folder / f"more{number}.png")
    Image.fromarray(real_photos[0]).convert("L").save(photo_folder / "inner" / "gray.png")
    (photo_folder / "broken.jpg").write_text("words")
    shutil.copytree(photo_folder / "inner", tmp_path / "others", ignore=shutil.ignore_patterns("gray.png"))
    words = ("--data", photo_folder, "--val-data", tmp_path / "others", *SMALL)
    code, output, _ = run("train.py", "--stage", "pretrain", *words)
    assert code == 0 and "broken.jpg" in output
    assert "1 near-gray and 1 broken left out" in output


def test_one_broken_photo_of_forty_does_not_stop_whatever_the_split(run, photo_folder, real_photos):
    for number in range(27):
        Image.fromarray(real_photos[number % 12]).save(photo_folder / f"more{number}.png")
    (photo_folder / "broken.jpg").write_text("words")
    for seed in (1, 4):
        words = ("--data", photo_folder, *SMALL, "--batch-size", 16, "--seed", seed)
        code, output, _ = run("train.py", "--stage", "pretrain", *words)
        assert code == 0 and "1 broken left out" in output
        assert ("broken.jpg" in output) == ("1 broken" in output)


def test_flags_that_would_do_nothing_are_refused(run, photo_folder):
    for words in (
        ("--stage", "pretrain", "--data", photo_folder, "--lambda-l1", 3),
        ("--stage", "pretrain", "--val-data", photo_folder),
        ("--stage", "gan", "--from", photo_folder / "01.png", "--val-data", photo_folder),
        ("--stage", "pretrain", "--lr", "nan"),
        ("--stage", "pretrain", "--seed", -1),
    ):
        code, _, errors = run("train.py", *words)
        assert code == 2 and words[-2] in errors


def test_recoloring_needs_hints(refused, photo_folder, tmp_path):
    for words in (("--recipe", "report"), ("--hints", 0)):
        line = refused("train.py", "--stage", "pretrain", "--data", photo_folder, *SMALL, *words, "--recolor", 0.5)
        assert "--recolor is for photos with hints" in line
    assert not (tmp_path / "runs").exists()


def test_photos_are_for_training_or_validation_not_both(refused, photo_folder):
    line = refused(
        "train.py", "--stage", "pretrain", "--data", photo_folder, "--val-data", photo_folder / "inner", *SMALL
    )
    assert "is in --data too" in line


def test_a_resume_needs_no_other_flag_from_any_folder(run, refused, pretrained, photo_folder, tmp_path, monkeypatch):
    copy = shutil.copytree(pretrained, tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    config["hyperparameters"]["epochs"] = 2
    (copy / "config.json").write_text(json.dumps(config))
    with (copy / "history.jsonl").open("a") as file:
        file.write('{"epoch": 2, "st')  # killed while it wrote
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert run("train.py", "--resume", copy)[0] == 0
    assert [json.loads(line)["epoch"] for line in (copy / "history.jsonl").read_text().splitlines()] == [1, 2]
    assert not (tmp_path / "home").exists()  # the run's own cache was used


def test_a_resume_on_other_photos_is_refused(refused, pretrained, photo_folder, tmp_path):
    names = json.loads((pretrained / "split.json").read_text())["train"]
    Image.new("RGB", (64, 64), "gray").save(photo_folder / names[0])
    assert "was trained on 9 photos, now 8" in refused("train.py", "--resume", pretrained)
    (photo_folder / names[0]).unlink()
    assert f"no longer in {photo_folder}: {names[0]}" in refused("train.py", "--resume", pretrained)


def test_files_that_are_not_a_runs_own(refused, pretrained, tmp_path):
    for name, content, expected in (
        ("config.json", "{}", "is not a run's"),
        ("config.json", "[1]", "is not the folder of a run"),
        ("split.json", "[1]", "missing or damaged"),
    ):
        copy = shutil.copytree(pretrained, tmp_path / "copy", dirs_exist_ok=True)
        (copy / name).write_text(content)
        assert expected in refused("train.py", "--resume", copy)
    (tmp_path / "file").touch()
    assert "file" in refused("train.py", "--resume", pretrained, "--cache", "file")


def test_tensorboard_that_is_not_installed_is_said_at_once(refused, photo_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    line = refused("train.py", "--stage", "pretrain", "--data", photo_folder, *SMALL, "--tensorboard")
    assert 'pip install -e ".[tensorboard]"' in line and not (tmp_path / "runs").exists()


def test_ctrl_c_saves_and_exits_as_a_shell_expects(photo_folder, tmp_path):
    words = ("--stage", "pretrain", "--data", photo_folder, *SMALL, "--epochs", 500, "--log-every", 1)
    child = process("tests/narrow_train.py", *words, cwd=tmp_path)
    folder = tmp_path / "runs" / "001-pretrain"
    deadline = time.monotonic() + 60
    while not (folder / "steps.jsonl").exists() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    output = output_of(child)
    assert child.returncode == 130 and "Traceback" not in output, output
    step = load_training(folder / "last.pt")["step"]
    assert f"stopped at step {step}; go on with: python train.py --resume" in output and step > 0


def test_a_run_from_a_generator_file_and_without_imagenet_weights(run, refused, pretrained, photo_folder, tmp_path):
    words = ("train.py", "--stage", "pretrain", "--data", photo_folder, *SMALL)
    code, output, _ = run(*words, "--from", pretrained / "generator.pt", "--lr", 1e-6)
    assert code == 0 and f"starting from {pretrained / 'generator.pt'}" in output
    about = load_generator(tmp_path / "runs" / "002-pretrain" / "generator.pt").about
    assert about["started_from"]["results"]["epoch"] == 1
    one, two = (
        load_generator(tmp_path / "runs" / name / "generator.pt").network.head.conv.weight
        for name in ("001-pretrain", "002-pretrain")
    )
    assert torch.allclose(one, two, atol=1e-3)
    assert "needs ImageNet weights" in refused(*words, "--lambda-feature", 1)
    assert "gone is not the folder of a run" in refused(*words, "--from", "gone")
    assert "cannot be read" in refused(*words, "--from", photo_folder / "01.png")
