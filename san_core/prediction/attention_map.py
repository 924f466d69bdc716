"""Draws the attention of a network: the image, and the attention of each hop as a heat map over it."""

import io
import logging
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps, style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from numpy.typing import NDArray
from PIL import Image, ImageOps

from san_core.errors import InputError
from san_core.files import path_from_home
from san_core.prediction.fonts import DEFAULT, fonts
from san_core.prediction.trained_model import Answer, Reply

FORMATS = (".png", ".pdf", ".svg")

# Lengths are inches.
_MARGIN, _GAP = 0.35, 0.3
_AREA = 11.0  # of a panel, the same for images of any shape
_LONGEST, _SHORTEST = 5.0, 0.3
_NARROWEST_COLUMN = 2.4  # wide enough for an answer and its probability
_TITLE_LINE, _ANSWER_LINE = 0.26, 0.27
_TITLE_LINES = 4
_DPI = 150

_TITLE, _NOTE = FontProperties(family=DEFAULT, size=15, weight="bold"), FontProperties(family=DEFAULT, size=9)
_BEST, _OTHER = FontProperties(family=DEFAULT, size=10, weight="bold"), FontProperties(family=DEFAULT, size=10)
_INK, _FAINT = "#222222", "#6b6b6b"
_BEST_BAR, _BAR, _TRACK = "#b3bbe0", "#d9dcea", "#f4f4f6"
_HEAT = "inferno"  # perceptually uniform; its lightness increases with the value
_HEAT_OPACITY = 0.58
_BLACK = -80  # so that black pixels under a heat map become grey


def draw_attention(picture: Image.Image, question: str, reply: Reply, path: Path) -> None:
    """Writes the figure of a reply; missing folders are created, and the file gets its name only when it is complete.

    Args:
        picture: the image, upright, RGB, of any size.
        question: the question about it.
        reply: the reply of the network.
        path: file to write; its suffix is one of `FORMATS`.

    Raises:
        InputError: if the suffix is another one, or the file cannot be written.
    """
    path = path_from_home(path)
    check_format(path)
    content, suffix = io.BytesIO(), path.suffix.lower()
    # With less compression, writing a PNG takes half the time and 5 % more bytes.
    packing: dict[str, Any] = {"pil_kwargs": {"compress_level": 3}} if suffix == ".png" else {}
    with style.context("default"), _quiet_fonts():  # independent of the user's matplotlibrc
        attention_figure(picture, question, reply).savefig(content, format=suffix[1:], dpi=_DPI, **packing)
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content.getvalue())
        partial.replace(path)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise InputError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error


@contextmanager
def _quiet_fonts() -> Iterator[None]:
    """Silences matplotlib about fonts: `Fonts` tells which characters are drawn as boxes, and a bold one may lack."""
    log = logging.getLogger("matplotlib.font_manager")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")
            yield
    finally:
        log.setLevel(level)


def check_format(path: Path) -> None:
    """Checks that the suffix of a file name is one of `FORMATS`.

    Raises:
        InputError: if it is not.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"cannot draw {path}: accepted are names that end in {', '.join(FORMATS)}")


def heat_layer(shares: NDArray[np.float32], size: tuple[int, int]) -> Image.Image:
    """The colours of one hop's attention, to be laid over a picture.

    Args:
        shares: [rows, columns], of which the colours go from 0 to the largest.
        size: width and height of the result, in pixels.
    """
    smooth = Image.fromarray(shares / shares.max()).resize(size, Image.Resampling.BICUBIC)
    colours = colormaps[_HEAT](np.asarray(smooth).clip(0, 1))[..., :3]
    return Image.fromarray((255 * colours).astype(np.uint8))


def attention_figure(picture: Image.Image, question: str, reply: Reply) -> Figure:
    """Draws the figure of a reply. Arguments as for `draw_attention`.

    On the left is the image with the answers below it, and to the right one panel per hop. A heat map covers the whole
    image, since the network sees the whole image, resized to a square. Its colours go from 0 to the largest attention
    of the hop.
    """
    fonts().add_for("".join([question, *(answer.text for answer in reply.answers)]))
    for font in (_TITLE, _BEST, _OTHER):
        font.set_family(fonts().families)
    width, height = _panel_size(picture.width / picture.height)
    column = max(width, _NARROWEST_COLUMN)
    indent = (column - width) / 2
    room = column + len(reply.attention) * (_GAP + column)
    title = _wrap(question, room, _TITLE)
    top = _MARGIN + _TITLE_LINE * len(title) + 0.35
    below = top + height + 0.15
    answers_height = _ANSWER_LINE * len(reply.answers)
    sheet = _Sheet(room + 2 * _MARGIN, below + max(1.0, answers_height) + _MARGIN)

    sheet.write(title, _MARGIN, _MARGIN, _TITLE, _INK)
    pixels = np.asarray(_shrink(picture))
    _show_picture(sheet.axes(_MARGIN + indent, top, width, height), pixels)
    _list_answers(sheet.axes(_MARGIN, below, column, answers_height), reply.answers, column)
    for hop, shares in enumerate(reply.attention, start=1):
        left = _MARGIN + hop * (column + _GAP)
        panel = sheet.axes(left + indent, top, width, height)
        _show_heat(panel, pixels, shares, f"hop {hop}")
        _explain_colours(sheet.axes(left, below + 0.03, column, 0.12), panel, shares)
    _, rows, columns = reply.attention.shape
    note = (
        f"share of attention per region ({rows} × {columns} regions); "
        f"the line marks an even spread, {1 / (rows * columns):.1%}"
    )
    lines = _wrap(note, room - column - _GAP, _NOTE)
    sheet.write(lines, _MARGIN + column + _GAP, below + 0.5, _NOTE, _FAINT)
    return sheet.figure


class _Sheet:
    """A figure laid out in inches from its top left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width, height), facecolor="white")

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        bottom = self.height - top - height
        return self.figure.add_axes((left / self.width, bottom / self.height, width / self.width, height / self.height))

    def write(self, lines: Sequence[str], left: float, top: float, font: FontProperties, color: str) -> None:
        x, y = left / self.width, 1 - top / self.height
        self.figure.text(x, y, "\n".join(lines), fontproperties=font, color=color, va="top", parse_math=False)


def _panel_size(aspect: float) -> tuple[float, float]:
    """Width and height of the panel of an image that is `aspect` times as wide as high."""
    height = min((_AREA / aspect) ** 0.5, _LONGEST, _LONGEST / aspect)
    return max(height * aspect, _SHORTEST), max(height, _SHORTEST)


def _shrink(picture: Image.Image) -> Image.Image:
    small = picture.copy()
    small.thumbnail((int(_LONGEST * 2 * _DPI),) * 2)
    return small


def _show_picture(axes: Axes, pixels: NDArray[np.uint8]) -> None:
    axes.imshow(pixels, aspect="auto", interpolation="bicubic")
    _frame(axes, "picture")


def _show_heat(axes: Axes, pixels: NDArray[np.uint8], shares: NDArray[np.float32], title: str) -> None:
    """Draws shares [rows, columns] over the image [height, width, 3] in grey."""
    grey = np.asarray(ImageOps.autocontrast(Image.fromarray(pixels).convert("L"), cutoff=0.5))
    axes.imshow(grey, cmap="gray", vmin=_BLACK, vmax=255, aspect="auto", interpolation="bicubic")
    axes.imshow(
        shares,
        cmap=_HEAT,
        alpha=_HEAT_OPACITY,
        vmin=0,
        vmax=float(shares.max()),
        extent=(*axes.get_xlim(), *axes.get_ylim()),
        aspect="auto",
        interpolation="catrom",  # smooth, and the centre of each region has its own colour
    )
    _frame(axes, title)


def _frame(axes: Axes, title: str) -> None:
    axes.set_title(title, size=11, color=_INK, pad=5)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _explain_colours(axes: Axes, panel: Axes, shares: NDArray[np.float32]) -> None:
    largest = float(shares.max())
    bar = panel.figure.colorbar(panel.images[-1], cax=axes, orientation="horizontal")
    bar.outline.set_visible(False)
    bar.set_ticks([0, largest], labels=["0", f"{largest:.1%}"])
    axes.tick_params(length=0, labelsize=_NOTE.get_size(), labelcolor=_FAINT)
    least, most = axes.get_xticklabels()
    least.set_horizontalalignment("left")
    most.set_horizontalalignment("right")
    axes.axvline(1 / shares.size, ymin=-0.35, ymax=1.35, color=_INK, linewidth=1.2, clip_on=False)


def _list_answers(axes: Axes, answers: Sequence[Answer], width: float) -> None:
    """Draws one bar per answer, on a track of length 1, with the text of the answer over it."""
    places = range(len(answers))
    axes.barh(places, 1, height=0.82, color=_TRACK)
    axes.barh(places, [a.probability for a in answers], height=0.82, color=[_BEST_BAR, *[_BAR] * (len(answers) - 1)])
    for place, answer in enumerate(answers):
        font = _BEST if place == 0 else _OTHER
        text = _trim(answer.text, width * 0.94 - 0.6, font)
        axes.text(0.02, place, text, fontproperties=font, color=_INK, va="center", parse_math=False)
        percent = f"{answer.probability:.1%}"
        axes.text(0.98, place, percent, fontproperties=font, color=_INK, va="center", ha="right")
    axes.set(xlim=(0, 1), ylim=(len(answers) - 0.5, -0.5))
    axes.axis("off")


def _wrap(text: str, room: float, font: FontProperties) -> list[str]:
    """Wraps the text into a few lines no wider than `room`; a text that is too long ends in an ellipsis."""
    characters = int(room / 0.04)
    while True:
        lines = textwrap.wrap(_printable(text), characters, max_lines=_TITLE_LINES, placeholder=" …")
        widest = max((_width(line, font) for line in lines), default=0.0)
        if widest <= room:
            return lines
        characters = int(characters * max(0.5, room / widest))


def _trim(text: str, room: float, font: FontProperties) -> str:
    """Cuts the text if it is wider than `room`."""
    whole = _printable(text)
    cuts = (f"{whole[:end]}…" for end in range(60, 0, -1))
    return next((shown for shown in (whole, *cuts) if _width(shown, font) <= room), "…")


def _width(text: str, font: FontProperties) -> float:
    points: float = text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]
    return points / 72


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))
