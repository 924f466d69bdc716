import numpy as np
import pytest
from PIL import Image, ImageDraw

from san_core.prediction.attention_focus import Focus, Shown, find_shown

Box = tuple[int, int, int, int]


def picture(*boxes: Box) -> Image.Image:
    """A picture of 8 x 6 pixels with blue boxes, given by their first column and row and their last ones."""
    made = Image.new("RGB", (8, 6), "#f8eae6")
    for box in boxes:
        ImageDraw.Draw(made).rectangle(box, fill="#f8eaff")
    return made


def test_what_differs_from_a_plain_background_is_shown() -> None:
    shown = find_shown(picture((1, 1, 4, 2)), rows=2, columns=2)  # 4 x 2 pixels
    assert shown is not None
    assert shown.share == pytest.approx(8 / 48)
    np.testing.assert_allclose(shown.by_region, [[6 / 12, 2 / 12], [0, 0]])


def test_a_pixel_at_the_border_of_regions_is_divided() -> None:
    shown = find_shown(picture((2, 1, 2, 1)), rows=4, columns=3)
    assert shown is not None
    # A region has 1.5 x 2.67 pixels. The pixel is 1 to 2 down and 2 to 3 right: 0.5 high in each of two rows, and 0.67
    # and 0.33 wide in two columns.
    expected = np.zeros((4, 3))
    expected[:2, :2] = np.outer([0.5, 0.5], [2 / 3, 1 / 3]) / (1.5 * 8 / 3)
    np.testing.assert_allclose(shown.by_region, expected, atol=1e-12)


def test_what_is_shown_may_touch_the_edges_and_cover_a_corner() -> None:
    shown = find_shown(picture((0, 0, 2, 1), (7, 5, 7, 5)), rows=1, columns=1)  # 5 of the 24 pixels along the edges
    assert shown is not None
    assert shown.share == pytest.approx(7 / 48)


@pytest.mark.parametrize("boxes", [[], [(0, 0, 1, 3), (5, 5, 6, 5)]], ids=["one colour", "7 of 24 along the edges"])
def test_other_pictures_have_no_plain_background(boxes: list[Box]) -> None:
    assert find_shown(picture(*boxes), rows=2, columns=2) is None


def test_focus_is_the_share_on_what_is_shown_over_its_share_of_the_picture() -> None:
    attention = np.array([[[0.25, 0.25], [0.25, 0.25]], [[1.0, 0], [0, 0]]], np.float32)  # even, all in a corner
    quarter = Shown(0.25, np.array([[1.0, 0], [0, 0]]))
    half = Shown(0.5, np.array([[0, 1.0], [0, 1.0]]))
    assert Focus.of([(quarter, attention), (half, attention)]) == Focus(2, (1.0, (4.0 + 0.0) / 2), (4.0 + 2.0) / 2)
