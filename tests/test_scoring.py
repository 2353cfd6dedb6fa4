"""evaluation/scoring.py: batches scored side by side, in order, and as one after the other."""

import threading

import pytest
import torch

from pix2pix.evaluation import scoring

SECONDS = 30
pytestmark = pytest.mark.usefixtures("two_threads")


@pytest.mark.parametrize("on_cores", [False, True])
def test_scores_come_in_the_photos_order(tmp_path, on_cores):
    photos = torch.arange(50, dtype=torch.uint8).view(50, 1, 1, 1).expand(-1, 3, 8, 8)
    seen = set()

    def score_photos(batch, numbers):
        seen.add((torch.is_inference_mode_enabled(), torch.get_num_threads()))
        assert batch[:, 0, 0, 0].tolist() == numbers
        return {"model": {"psnr": batch[:, 0, 0, 0].double()}}

    scores = scoring.score_in_chunks(Photos(photos), score_photos, tmp_path, batch=4, on_cores=on_cores)
    assert scores["model"]["psnr"].tolist() == list(range(50))
    assert seen == {(True, 1 if on_cores else 2)}


def test_batches_are_scored_at_the_same_time(tmp_path):
    """Each waits for the others: in fewer threads it would never end."""
    barrier = threading.Barrier(2, timeout=SECONDS)

    def score_photos(batch, numbers):
        barrier.wait()
        return {"model": {"psnr": torch.zeros(len(numbers))}}

    photos = torch.zeros(48, 3, 8, 8, dtype=torch.uint8)
    assert len(scoring.score_in_chunks(Photos(photos), score_photos, tmp_path, on_cores=True)["model"]["psnr"]) == 48


class Photos(torch.utils.data.Dataset):
    """Photos in memory, in place of a ColorizationDataset."""

    class photo_set:
        pixels = True

    def __init__(self, photos):
        self.photos = photos

    def __len__(self):
        return len(self.photos)

    def __getitem__(self, index):
        return self.photos[index]
