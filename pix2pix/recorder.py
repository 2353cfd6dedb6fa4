"""What a run leaves in its folder while it trains: checkpoints, histories, figures, and the lines on the screen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from pix2pix.checkpoint import save_generator, save_training
from pix2pix.data.dataset import ColorizationDataset
from pix2pix.distributed import wait_for_all
from pix2pix.errors import UserError
from pix2pix.evaluation.figures import draw_curves, draw_sheet
from pix2pix.evaluation.metrics import ssim
from pix2pix.evaluation.scoring import eval_mode, means, score
from pix2pix.files import append_json_line, read_json_lines, replacing
from pix2pix.inference import colorize_batch, gray_batch
from pix2pix.state import State

SAMPLES = 5  # photos in each figure
LIVELINESS = 4.0  # dB of PSNR that color as strong as the truth's is worth over none, in the GAN stage's score


class Recorder:
    """Logs, draws, scores and saves a run in its folder `run`; only the main process has one that `writes`.

    `about` is saved with the generator, `training_photos` with every checkpoint.
    """

    def __init__(
        self,
        run: Path,
        validation: ColorizationDataset,
        *,
        about: dict[str, Any],
        training_photos: int,
        device: torch.device,
        writes: bool = True,
        tensorboard: bool = False,
    ) -> None:
        self.run, self.validation, self.about = run, validation, about
        self.training_photos, self.device, self.writes = training_photos, device, writes
        self.samples = torch.stack([validation[i] for i in range(min(SAMPLES, len(validation)))])
        self.scalars = _summary_writer(run) if tensorboard and writes else None
        self.bar: tqdm | None = None

    def start(self, state: State) -> None:
        """Before the first step, so that a run can be resumed whenever it was stopped."""
        if state.step == 0:
            self.save(state, "last.pt")

    @contextmanager
    def progress(self, state: State, steps: int) -> Iterator[None]:
        """Shows a bar inside the block: photos done of the epoch, photos a second, time left."""
        photos = state.recipe.batch_size
        with tqdm(
            total=steps * photos,
            initial=state.batch * photos,
            unit="photo",
            desc=f"epoch {state.epoch + 1}/{state.recipe.epochs}",
            disable=not self.writes,
            smoothing=0.05,
        ) as self.bar:
            state.restart_clock()
            yield

    def after_step(self, state: State) -> None:
        """Every `log_every` steps: the losses as a line, sample photos, and last.pt."""
        assert self.bar is not None
        self.bar.update(state.recipe.batch_size)
        if state.step % state.settings.log_every:
            return
        losses = state.mean_losses()
        if self.writes:
            self.bar.write(f"step {state.step}: {_in_words(losses)}")
            append_json_line(self.run / "steps.jsonl", {"step": state.step, **losses})
            self._draw_samples(state)
            self._add_scalars(losses, state.step)
        self.save(state, "last.pt")

    def after_epoch(self, state: State, steps: int) -> None:
        """The validation photos' scores into history.jsonl; best.pt and generator.pt when they are the best so far."""
        losses = state.mean_losses()
        rate = round(steps * state.recipe.batch_size / state.seconds, 2)
        state.start_epoch()
        if self.writes:
            scores = means(score(state.evaluated, self.validation, state.settings.size, device=self.device))
            rates = {f"lr_{name}": value for name, value in state.learning_rates().items()}
            line = {"epoch": state.epoch, "step": state.step, "losses": losses, **rates}
            line |= {"photos_per_second": rate, "validation": scores}
            append_json_line(self.run / "history.jsonl", line)
            print(describe_epoch(line), flush=True)
            self._draw_samples(state)
            self._add_scalars(losses | rates | scores["model"], state.step)
            self._keep_best(state, scores)
            draw_curves(read_json_lines(self.run / "history.jsonl"), self.run / "curves.png")
        self.save(state, "last.pt")

    def save_stopped(self, state: State) -> None:
        """last.pt in the midst of an epoch; refuses losses that are not finite. All processes wait for it."""
        state.mean_losses()
        self.save(state, "last.pt")
        wait_for_all()

    def save(self, state: State, name: str) -> None:
        """The whole state, everything that a resume needs, as the run's file `name`."""
        if self.writes:
            content = {"stage": state.settings.stage, "photos": self.training_photos, **state.state_dict()}
            save_training(self.run / name, content)

    def _keep_best(self, state: State, scores: dict[str, dict[str, float]]) -> None:
        reached = validation_score(state.settings.stage, scores)
        if reached > state.best:
            state.best = reached
            self.save(state, "best.pt")
            about = self.about | {"results": {"epoch": state.epoch, "step": state.step, "validation": scores}}
            save_generator(self.run / "generator.pt", state.evaluated, size=state.settings.size, about=about)

    def _draw_samples(self, state: State) -> None:
        path = self.run / "samples" / f"step_{state.step:06d}.png"
        draw_samples(state.evaluated, self.samples, state.settings.size, path, self.device)

    def _add_scalars(self, values: dict[str, float], step: int) -> None:
        if self.scalars is not None:
            for name, value in values.items():
                self.scalars.add_scalar(name, value, step)
            self.scalars.flush()


def validation_score(stage: str, scores: dict[str, dict[str, float]]) -> float:
    """What best.pt and generator.pt are chosen by, higher is better.

    Pretraining: the validation photos' PSNR in dB. GAN stage: that minus 4 dB times how far the colorfulness is from
    the truth's, relative to it, since PSNR alone prefers the dullest colors.
    """
    model = scores["model"]
    if stage == "pretrain":
        return model["psnr"]
    return model["psnr"] - LIVELINESS * abs(1 - model["colorfulness"] / max(scores["truth"]["colorfulness"], 1e-6))


def describe_epoch(line: dict[str, Any]) -> str:
    """A line of history.jsonl in words."""
    model, gray, truth = (line["validation"][name] for name in ("model", "gray", "truth"))
    return (
        f"epoch {line['epoch']}: {_in_words(line['losses'])}; {line['photos_per_second']:.1f} photos/s"
        f"; validation PSNR {model['psnr']:.2f} dB (gray {gray['psnr']:.2f})"
        f", SSIM {model['ssim']:.4f} (gray {gray['ssim']:.4f})"
        f", colorfulness {model['colorfulness']:.1f} (truth {truth['colorfulness']:.1f})"
    )


@torch.inference_mode()
def draw_samples(generator: nn.Module, photos: Tensor, size: int, path: Path, device: torch.device) -> None:
    """The report's figure: gray, fake (with its SSIM) and real, for uint8 photos (N, 3, H, W)."""
    photos = photos.to(device)
    with eval_mode(generator):
        fake = colorize_batch(generator, photos, size)
    captions = [{"fake": f"SSIM {value:.3f}"} for value in ssim(fake, photos).tolist()]
    draw_sheet([("gray", gray_batch(photos)), ("fake", fake), ("real", photos)], captions, path)


def keep_lines(path: Path, name: str, last: int) -> None:
    """Drop the lines that a stopped run wrote after its last checkpoint; they will be written again."""
    kept = [line for line in read_json_lines(path) if line[name] <= last]
    with replacing(path) as temporary:
        temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))


def check_tensorboard() -> None:
    """Raises UserError when TensorBoard is not installed."""
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError:
        raise UserError('--tensorboard needs TensorBoard: pip install -e ".[tensorboard]"') from None


def _in_words(losses: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.5f}" for name, value in losses.items())


def _summary_writer(run: Path) -> Any:  # noqa: ANN401
    from torch.utils.tensorboard import SummaryWriter  # an extra

    return SummaryWriter(str(run / "tensorboard"))
