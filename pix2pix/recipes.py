"""The settings of a training stage, by name: `report` is the report's, `default` is ours."""

from __future__ import annotations

from dataclasses import dataclass

STAGES = ("pretrain", "gan")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one stage trains; learning rates are for AdamW, `batch_size` is over all processes."""

    epochs: int
    batch_size: int
    learning_rate: float
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.01
    one_cycle: bool = True  # warm up over a fifth, then anneal to zero, by cosines; otherwise the rate is constant
    crop: bool = True  # random resized crop; otherwise the whole photo, resized without keeping its aspect
    degrade: float = 0.0  # the share of photos whose L the network sees as a worn scan's
    chroma: float = 1.0  # the targets' ab are multiplied by this
    ema_decay: float = 0.998  # of the generator that is evaluated and saved; 0 takes the trained one itself
    discriminator_learning_rate: float = 0.0
    gan_loss: str = "vanilla"
    spectral_norm: bool = False
    lambda_l1: float = 100.0  # weight against the adversarial loss; the pretraining's is 1
    lambda_feature: float = 0.0  # weight of the feature loss, relative to L1's


RECIPES: dict[str, dict[str, Recipe]] = {
    # Differs from the report's in the feature loss, the worn L of a quarter of the photos, the random crop, the moving
    # average of the generator, the learning rates' course, the batch size and, in the GAN stage, in a discriminator
    # with spectral normalisation and the hinge loss, which learns faster than the generator, a lower weight of the
    # other losses, and fewer epochs: docs/experiments.md says what was measured of this.
    "default": {
        "pretrain": Recipe(epochs=30, batch_size=32, learning_rate=1e-3, degrade=0.25, lambda_feature=1.0),
        "gan": Recipe(
            epochs=3,
            batch_size=32,
            learning_rate=1e-4,
            betas=(0.5, 0.999),
            one_cycle=False,
            discriminator_learning_rate=4e-4,
            degrade=0.25,
            gan_loss="hinge",
            spectral_norm=True,
            lambda_l1=20.0,
            lambda_feature=1.0,
        ),
    },
    "report": {
        "pretrain": Recipe(epochs=30, batch_size=16, learning_rate=1e-4, one_cycle=False, crop=False, ema_decay=0),
        "gan": Recipe(
            epochs=70,
            batch_size=16,
            learning_rate=2e-4,
            betas=(0.5, 0.999),
            one_cycle=False,
            crop=False,
            ema_decay=0,
            discriminator_learning_rate=2e-4,
        ),
    },
}
