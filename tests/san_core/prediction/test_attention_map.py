import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from san_core.config import TrainingConfig
from san_core.errors import InputError
from san_core.models.image_encoder import ImageEncoder
from san_core.models.san import SAN
from san_core.prediction.attention_map import attention_figure, draw_attention
from san_core.prediction.trained_model import Answer, Reply, TrainedModel

ANSWERS = [Answer("red", 0.5), Answer("blue", 0.25), Answer("yes", 0.125)]
SHARES = np.array([[[0.1, 0.6], [0.1, 0.2]], [[0.25, 0.25], [0.2, 0.3]]], dtype=np.float32)
REPLY = Reply(ANSWERS, SHARES)
SQUARE = Image.new("RGB", (64, 64), (200, 30, 30))


def _panels(figure: Figure) -> dict[str, Axes]:
    return {axes.get_title(): axes for axes in figure.axes if axes.get_title()}


def _texts(figure: Figure) -> list[str]:
    return [text.get_text() for place in (figure, *figure.axes) for text in place.texts]


def _bars(figure: Figure) -> list[float]:
    (axes,) = [axes for axes in figure.axes if axes.patches]
    return [float(bar.get_width()) for bar in axes.patches]


def test_every_hop_has_its_panel_right_of_the_picture() -> None:
    panels = _panels(attention_figure(SQUARE, "what?", REPLY))
    assert list(panels) == ["picture", "hop 1", "hop 2"]
    lefts = [panel.get_position().x0 for panel in panels.values()]
    assert lefts == sorted(lefts)
    assert len({panel.get_position().y0 for panel in panels.values()}) == 1


def test_picture_is_shown_in_colour_and_grey_beneath_the_heat() -> None:
    panels = _panels(attention_figure(SQUARE, "what?", REPLY))
    np.testing.assert_array_equal(panels["picture"].images[0].get_array(), np.asarray(SQUARE))
    assert [np.shape(image.get_array()) for image in panels["hop 1"].images] == [(64, 64), (2, 2)]


@pytest.mark.parametrize("hop", [1, 2])
def test_heat_is_the_hops_attention_from_zero_to_its_largest_share(hop: int) -> None:
    heat = _panels(attention_figure(SQUARE, "what?", REPLY))[f"hop {hop}"].images[1]
    np.testing.assert_array_equal(heat.get_array(), SHARES[hop - 1])
    assert heat.get_clim() == (0, pytest.approx(SHARES[hop - 1].max()))


@pytest.mark.parametrize("size", [(64, 64), (1200, 150), (150, 900), (560, 425)])
def test_heat_covers_the_whole_picture_in_the_pictures_own_shape(size: tuple[int, int]) -> None:
    figure = attention_figure(Image.new("RGB", size), "what?", REPLY)
    panels = _panels(figure)
    for panel in panels.values():
        box = panel.get_position()
        shape = box.width * figure.get_figwidth() / (box.height * figure.get_figheight())
        assert shape == pytest.approx(size[0] / size[1], rel=1e-3)
    picture, heat = panels["hop 1"].images
    assert heat.get_extent() == picture.get_extent()
    assert [*panels["hop 1"].get_xlim(), *panels["hop 1"].get_ylim()] == picture.get_extent()


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_region_is_hot_where_it_lies_in_the_picture(row: int, column: int) -> None:
    """The one test that looks at the drawn figure: that nothing is upside down on the way there."""
    shares = np.zeros((1, 2, 2), dtype=np.float32)
    shares[0, row, column] = 1
    figure = attention_figure(Image.new("RGB", (300, 100)), "what?", Reply(ANSWERS, shares))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())[..., :3].astype(int).sum(axis=2)
    box = _panels(figure)["hop 1"].get_window_extent()
    top, left = drawn.shape[0] - box.y1, box.x0
    brightness = [
        [drawn[int(top + box.height * y), int(left + box.width * x)] for x in (0.25, 0.75)] for y in (0.25, 0.75)
    ]
    assert np.unravel_index(np.argmax(brightness), (2, 2)) == (row, column)


def _bright_seeker(*, hops: int) -> TrainedModel:
    """A network made by hand: regions are 32-pixel squares, and it looks at the brightest."""
    encoder = ImageEncoder(nn.AvgPool2d(32), mean=(0.0,) * 3, std=(1.0,) * 3)
    config = TrainingConfig(hidden_size=4, attention_size=4, embedding_size=4, hops=hops, precision="float32")
    network = SAN(
        channels=3,
        vocabulary_size=3,
        answers=2,
        embedding_size=4,
        hidden_size=4,
        attention_size=4,
        hops=hops,
        dropout=0,
        image_encoder=encoder,
    )
    with torch.no_grad():
        for name, weight in network.named_parameters():
            weight.fill_(0 if name.endswith("bias") or "query" in name or "question_encoder" in name else 1)
        for hop in network.attention.hops:
            hop.score.weight.fill_(20)
    description = {"config": config.to_dict(), "words": ["what"], "answers": ["yes", "no"], "image_size": 96}
    return TrainedModel(network, description)


@pytest.mark.parametrize(("row", "column"), [(0, 2), (2, 0), (1, 2), (0, 0)])
def test_attention_of_a_network_that_seeks_the_bright_lies_where_the_picture_is_bright(row: int, column: int) -> None:
    pixels = np.zeros((96, 96, 3), dtype=np.uint8)
    pixels[32 * row : 32 * row + 32, 32 * column : 32 * column + 32] = 255
    attention = _bright_seeker(hops=2).reply(pixels, "what?").attention
    assert attention.shape == (2, 3, 3)
    assert attention.dtype == np.float32
    assert [np.unravel_index(hop.argmax(), hop.shape) for hop in attention] == [(row, column)] * 2
    assert attention[:, row, column].min() > 0.99


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_attention_sums_to_one_in_every_hop(precision: str) -> None:
    model = _bright_seeker(hops=3)
    model.description = {**model.description, "config": {**model.description["config"], "precision": precision}}
    pixels = np.random.default_rng(1).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    np.testing.assert_allclose(model.reply(pixels, "what?").attention.sum(axis=(1, 2)), 1, atol=1e-6)


def test_answers_are_bars_as_long_as_they_are_likely() -> None:
    figure = attention_figure(SQUARE, "what?", REPLY)
    assert _bars(figure) == [1, 1, 1, 0.5, 0.25, 0.125]  # three tracks, three bars
    assert [text for text in _texts(figure) if text in {"red", "blue", "yes"}] == ["red", "blue", "yes"]
    assert [text for text in _texts(figure) if re.fullmatch(r"[\d.]+%", text)] == ["50.0%", "25.0%", "12.5%"]


def test_colour_bars_tell_the_largest_share_and_the_even_spread() -> None:
    figure = attention_figure(SQUARE, "what?", REPLY)
    bars = [axes for axes in figure.axes if axes.lines]
    assert [[label.get_text() for label in bar.get_xticklabels()] for bar in bars] == [["0", "60.0%"], ["0", "30.0%"]]
    assert [bar.lines[0].get_xdata()[0] for bar in bars] == [0.25, 0.25]
    assert any("share of attention per region (2 × 2 regions)" in text and "25.0%" in text for text in _texts(figure))


def _outside(figure: Figure) -> list[str]:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    width, height = canvas.get_width_height()
    labels = [label for axes in figure.axes if axes.lines for label in axes.get_xticklabels()]
    texts = [
        *labels,
        *(axes.title for axes in figure.axes),
        *(t for place in (figure, *figure.axes) for t in place.texts),
    ]
    boxes = {text.get_text(): text.get_window_extent() for text in texts}
    return [text for text, b in boxes.items() if b.x0 < 0 or b.y0 < 0 or b.x1 > width or b.y1 > height]


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (3000, 10), (10, 3000)])
@pytest.mark.parametrize("question", ["is it red?", "which colour does the square have " * 20, "W" * 500])
def test_everything_written_fits_on_the_figure(size: tuple[int, int], question: str) -> None:
    reply = Reply([Answer("a very long answer of many words " * 3, 0.9), Answer("M" * 90, 0.1)], SHARES)
    assert _outside(attention_figure(Image.new("RGB", size), question, reply)) == []


def test_long_question_wraps_and_a_longer_one_is_cut_with_an_ellipsis() -> None:
    words = [f"word{i}" for i in range(40)]
    wrapped = attention_figure(SQUARE, " ".join(words), REPLY).texts[0].get_text()
    assert wrapped.split() == words
    assert 2 <= len(wrapped.splitlines()) <= 4
    cut = attention_figure(SQUARE, " ".join(words * 10), REPLY).texts[0].get_text()
    assert len(cut.splitlines()) == 4
    assert cut.endswith("…")


@pytest.mark.parametrize("text", ["$\\frac{", "$5 or $6?", "東京?", "a\nb\tc", "\udcff\x00", "{}%s_^"])
def test_any_characters_can_be_asked_and_answered(text: str, tmp_path: Path) -> None:
    draw_attention(SQUARE, text, Reply([Answer(text, 1.0)], SHARES), tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 14, 14), (5, 7, 7)])
def test_any_number_of_hops_and_regions(shape: tuple[int, int, int], tmp_path: Path) -> None:
    shares: NDArray[np.float32] = np.full(shape, 1 / (shape[1] * shape[2]), dtype=np.float32)
    assert len(_panels(attention_figure(SQUARE, "what?", Reply(ANSWERS, shares)))) == 1 + shape[0]
    draw_attention(SQUARE, "what?", Reply(ANSWERS, shares), tmp_path / "map.png")


def test_large_picture_is_shown_in_a_size_for_paper() -> None:
    picture = Image.new("RGB", (6000, 3000))
    pixels = _panels(attention_figure(picture, "what?", REPLY))["picture"].images[0].get_array()
    assert np.shape(pixels) == (750, 1500, 3)
    assert picture.size == (6000, 3000)


@pytest.mark.parametrize(
    ("name", "start"), [("a.png", b"\x89PNG"), ("a.PNG", b"\x89PNG"), ("a.pdf", b"%PDF"), ("a.svg", b"<?xml")]
)
def test_suffix_chooses_the_format_and_folders_are_made(name: str, start: bytes, tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / name
    draw_attention(SQUARE, "what?", REPLY, path)
    assert path.read_bytes().startswith(start)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", ["map.jpg", "map", "map.png.txt", ".png"])
def test_another_suffix_is_refused(name: str, tmp_path: Path) -> None:
    expected = f"cannot draw {tmp_path / name}: accepted are names that end in .png, .pdf, .svg"
    with pytest.raises(InputError, match=re.escape(expected)):
        draw_attention(SQUARE, "what?", REPLY, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "file" / "map.png", tmp_path / f"{'x' * 300}.png"):
        with pytest.raises(InputError, match=re.escape(f"cannot write {path}: ")):
            draw_attention(SQUARE, "what?", REPLY, path)


def test_old_figure_stays_until_the_new_one_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "map.png"
    path.write_text("old")

    def fail(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:100])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fail)
        with pytest.raises(InputError, match=re.escape(f"cannot write {path}: No space left on device")):
            draw_attention(SQUARE, "what?", REPLY, path)
    assert path.read_text() == "old"
    draw_attention(SQUARE, "what?", REPLY, path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_matplotlibrc_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib

    draw_attention(SQUARE, "what?", REPLY, tmp_path / "plain.png")
    monkeypatch.setitem(matplotlib.rcParams, "text.color", "red")
    monkeypatch.setitem(matplotlib.rcParams, "savefig.bbox", "tight")
    draw_attention(SQUARE, "what?", REPLY, tmp_path / "styled.png")
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "styled.png").read_bytes()


def test_commands_start_without_matplotlib() -> None:
    code = "import sys, san_core.predict, san_core.training; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=True)
    assert done.stdout == "False\n"
