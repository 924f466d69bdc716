import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from san_core.demo_page.answering import reply_html
from san_core.prediction.attention_map import heat_layer
from san_core.prediction.trained_model import Answer, Reply

SHARES = np.array([[[0.1, 0.6], [0.1, 0.2]], [[0.25, 0.25], [0.2, 0.3]]], dtype=np.float32)
REPLY = Reply([Answer("red", 0.625), Answer("<b>blue</b>", 0.25)], SHARES)
WIDE = Image.new("RGB", (900, 300), (200, 30, 30))


def _images(html: str) -> list[Image.Image]:
    return [Image.open(io.BytesIO(base64.b64decode(jpeg))) for jpeg in re.findall(r"base64,([^\"]+)", html)]


def test_every_answer_has_a_bar_as_long_as_its_probability() -> None:
    html = reply_html(WIDE, "what?", REPLY)
    assert re.findall(r"width: (.+?)%", html) == ["62.5", "25.0"]


def test_texts_are_escaped() -> None:
    html = reply_html(WIDE, "<script>", replace(REPLY, unknown_words=("<u>",)), right_answer="<i>")
    assert re.findall(r"<(?:script|b|i|u)>", html) == []
    assert "<h2>&lt;script&gt;</h2>" in html


@pytest.mark.parametrize(("unknown", "told"), [(("a",), "this word: a"), (("a", "b"), "these words: a, b")])
def test_unknown_words_are_told(unknown: tuple[str, ...], told: str) -> None:
    reply = replace(REPLY, unknown_words=unknown)
    assert f"The model does not know {told}</p>" in reply_html(WIDE, "what?", reply)
    assert "does not know" not in reply_html(WIDE, "what?", REPLY)


def test_every_hop_has_a_heat_map_in_the_shape_of_the_picture() -> None:
    pictures = _images(reply_html(WIDE, "what?", REPLY))
    assert [picture.size for picture in pictures] == [(480, 160), (240, 80)] * 2


def test_a_picture_one_pixel_wide_is_shown() -> None:
    assert len(_images(reply_html(Image.new("RGB", (1, 4000)), "what?", REPLY))) == 4


def test_the_heat_is_brightest_where_most_attention_is() -> None:
    light = np.asarray(heat_layer(SHARES[0], (80, 80)).convert("L"))
    assert light[20, 60] > 200  # the centre of the region with 0.6
    assert light[20, 20] < light[60, 60] < light[20, 60]
