"""A tiny data set, which trials of a second are trained on."""

import csv
import random
from pathlib import Path

from PIL import Image

from san_core.data.preparation import Options, prepare
from san_core.data.prepared import PreparedData
from san_core.data.raw_dataset import Location, TableFiles

COLOURS = {"red": (220, 30, 30), "green": (20, 180, 40), "blue": (40, 60, 230), "yellow": (240, 220, 20)}
PICTURES = 60


def prepare_squares(folder: Path) -> PreparedData:
    """Draws coloured squares, and prepares questions about them in `folder`/squares."""
    rng, pictures = random.Random(0), folder / "pictures"
    pictures.mkdir()
    with (folder / "squares.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "question", "answer"])
        for number in range(PICTURES):
            name = rng.choice(list(COLOURS))
            edge = rng.randint(24, 40)
            picture = Image.new("RGB", (64, 64), (110, 110, 110))
            picture.paste(COLOURS[name], (0, 0, edge, edge))
            picture.save(pictures / f"{number}.png")
            for colour in COLOURS:
                table.writerow([number, f"Is it {colour}?", "yes" if colour == name else "no"])
            table.writerow([number, "What colour is it?", name])
    files = TableFiles(files=[folder / "squares.csv"], images=pictures)
    return prepare("table", folder / "squares", Options(image_size=64, test_share=0.2), Location(table=files))
