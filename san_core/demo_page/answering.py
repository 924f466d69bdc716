"""What the page shows: pictures, and the reply to a question about one."""

import base64
import io
from pathlib import Path

from PIL import Image

from san_core.data.images.reading import as_picture
from san_core.prediction.attention_map import heat_layer
from san_core.prediction.trained_model import Reply, TrainedModel
from san_core.templates import templates

_EDGE, _HEAT_EDGE, _TINY = 480, 240, 128
"""Longest edge in pixels of a picture on the page, of a heat map, which is smooth, and of a picture kept as it is."""

TEMPLATES = templates(Path(__file__).parent)


def shown(model: TrainedModel, picture: Path | Image.Image) -> bytes:
    """A picture as the model reads it, as a small JPEG that any browser shows.

    Raises:
        InputError: if it cannot be read.
    """
    return _jpeg(as_picture(picture, _EDGE, model.grey_range).image, _EDGE)


def answer(model: TrainedModel, picture: Path | Image.Image, question: str, right_answer: str = "") -> str:
    """The answers to a question, and where each hop looked, as HTML.

    Args:
        model: the model that is asked.
        picture: the picture, or its file.
        question: the question.
        right_answer: is shown below the answers; empty if it is not known.

    Raises:
        InputError: if the picture cannot be read, or the question is empty.
    """
    reply = model.ask(picture, question)
    image = as_picture(picture, _EDGE, model.grey_range).image
    return reply_html(image, question, reply, right_answer=right_answer)


def reply_html(picture: Image.Image, question: str, reply: Reply, *, right_answer: str = "") -> str:
    """A reply as HTML: a bar for each answer, and each hop's heat map over the picture.

    The heat maps are as transparent as the CSS variable `--strength`, in [0, 1], says.

    Args:
        picture: the picture, upright, RGB.
        question: the question about it.
        reply: the reply of the network.
        right_answer: the right answer; empty if it is not known.
    """
    scale = _HEAT_EDGE / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    heats = [
        {"colours": _address(_jpeg(heat_layer(shares, size), _HEAT_EDGE)), "largest": float(shares.max())}
        for shares in reply.attention
    ]
    _, rows, columns = reply.attention.shape
    return TEMPLATES.get_template("reply.html.jinja").render(
        picture=_address(_jpeg(picture, _EDGE)),
        question=question,
        answers=reply.answers,
        right_answer=right_answer,
        note=reply.note,
        heats=heats,
        rows=rows,
        columns=columns,
    )


def _jpeg(picture: Image.Image, longest_edge: int) -> bytes:
    small, content = picture.copy(), io.BytesIO()
    small.thumbnail((longest_edge, longest_edge))
    tiny = max(small.size) <= _TINY  # a browser enlarges it, and with it what compression leaves behind
    small.save(content, format="JPEG", quality=100 if tiny else 90, subsampling=0)
    return content.getvalue()


def _address(jpeg: bytes) -> str:
    """An address that a page can show without a request."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
