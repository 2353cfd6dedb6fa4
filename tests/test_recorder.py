"""What a run leaves in its folder."""

import pytest

from pix2pix.recorder import describe_epoch, keep_lines, validation_score


def test_the_best_checkpoints_rule():
    def scores(psnr, color):
        return {"model": {"psnr": psnr, "colorfulness": color}, "truth": {"colorfulness": 40.0}}

    assert validation_score("pretrain", scores(23.0, 4.0)) == 23.0
    assert validation_score("gan", scores(23.0, 20.0)) == pytest.approx(21.0)
    assert validation_score("gan", scores(22.0, 40.0)) > validation_score("gan", scores(23.0, 20.0))
    assert validation_score("gan", scores(22.0, 60.0)) < validation_score("gan", scores(22.0, 40.0))


def test_an_epoch_in_words():
    validation = {"psnr": 24.123, "ssim": 0.94321, "colorfulness": 30.0}
    line = {
        "epoch": 3,
        "losses": {"loss_G_L1": 0.05},
        "photos_per_second": 12.34,
        "validation": {"model": validation, "gray": validation | {"psnr": 23.0}, "truth": {"colorfulness": 40.0}},
    }
    assert describe_epoch(line) == (
        "epoch 3: loss_G_L1 0.05000; 12.3 photos/s; validation PSNR 24.12 dB (gray 23.00), "
        "SSIM 0.9432 (gray 0.9432), colorfulness 30.0 (truth 40.0)"
    )


def test_lines_after_the_last_checkpoint_are_dropped(tmp_path):
    path = tmp_path / "steps.jsonl"
    path.write_text('{"step": 2, "loss": 1.5}\n{"step": 4, "loss": 1.25}\n{"step": 6, "lo')
    keep_lines(path, "step", 2)
    assert path.read_text() == '{"step": 2, "loss": 1.5}\n'
