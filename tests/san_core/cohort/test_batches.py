import numpy as np
import pytest

from san_core.cohort.batches import Slots, epoch_order, images_of_batches, make_batches
from san_core.config import TrainingConfig
from san_core.data.prepared import Split


def _split(questions: int, images: int) -> Split:
    chosen = np.random.default_rng(3).integers(images, size=questions).astype(np.int32)
    nothing = np.zeros_like(chosen)
    return Split(chosen, nothing, nothing, nothing[:, None])


@pytest.mark.parametrize("together", [1, 2, 4])
@pytest.mark.parametrize(("questions", "images", "batch"), [(50, 7, 8), (50, 50, 8), (3, 1, 8), (16, 2, 8)])
def test_every_batch_holds_its_questions_once_beside_their_image(
    together: int, questions: int, images: int, batch: int
) -> None:
    split = _split(questions, images)
    config = TrainingConfig(batch_size=batch, questions_per_image=together)
    order = epoch_order(split, config, epoch=1)
    slots = Slots(images_of_batches(order, split.images, batch, together), together)
    buffers = make_batches(order, split.images, batch, slots)
    assert buffers.steps == -(-questions // batch)
    for step, rows in enumerate(buffers.rows):
        expected = order[step * batch : (step + 1) * batch]
        assert sorted(rows[rows >= 0]) == sorted(expected)
        for place, slot in np.argwhere(rows >= 0):
            assert split.images[rows[place, slot]] == buffers.images[step, place]
    assert slots.images <= batch


def test_a_batch_with_too_many_images_is_refused() -> None:
    with pytest.raises(ValueError, match="needs places for 8 images, but has 2"):
        make_batches(np.arange(50), np.arange(50), 8, Slots(2, 4))
    assert images_of_batches(np.arange(50), np.arange(50), 8, 4) == 8
