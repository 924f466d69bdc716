"""Finds installed fonts for the characters that matplotlib's default font lacks."""

import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from matplotlib.font_manager import findfont, findSystemFonts, fontManager
from matplotlib.ft2font import FT2Font

from san_core.command_line import print_message

DEFAULT = "DejaVu Sans"  # comes with matplotlib

_NO_SCRIPT = "some other"
_PLACEHOLDERS = "lastresort"  # fonts of that name have a box for every character


class Fonts:
    """The families of fonts that texts are drawn in. matplotlib draws each character in the first one that has it.

    Attributes:
        families: the default font, and those found for characters it lacks.
    """

    def __init__(self) -> None:
        self.families = [DEFAULT]
        self._drawable = set(FT2Font(findfont(DEFAULT)).get_charmap())
        self._not_found: set[str] = set()

    def add_for(self, text: str) -> None:
        """Adds installed fonts until they have all characters of the text.

        Prints one line if no font has the letters of a script; once for each script, and again for none.
        """
        missing = {c for c in text if self._lacks(c)}
        while missing and (found := _best_font(missing)):
            family, characters = found
            self.families.append(family)
            self._drawable |= characters
            missing = {c for c in missing if self._lacks(c)}
        if missing:
            scripts = {_script(c) for c in missing}
            self._not_found |= scripts
            named = sorted(scripts - {_NO_SCRIPT}) or [_NO_SCRIPT]
            print_message(
                f"no installed font has {' and '.join(named)} characters, boxes stand for them in the figure; "
                "install one, on Debian with `apt-get install fonts-noto-core` (Chinese, Japanese, Korean: "
                "fonts-noto-cjk), elsewhere from https://fonts.google.com/noto"
            )

    def _lacks(self, character: str) -> bool:
        drawn = character.isprintable() and not character.isspace()
        return drawn and ord(character) not in self._drawable and _script(character) not in self._not_found


@cache
def fonts() -> Fonts:
    """Returns the fonts of this process."""
    return Fonts()


def _script(character: str) -> str:
    """The script of a letter or mark, such as Devanagari or CJK; `some other` for other characters."""
    if unicodedata.category(character)[0] not in "LM":
        return _NO_SCRIPT
    first = unicodedata.name(character, "rare").split()[0]
    return first if first == "CJK" else first.capitalize()


def _best_font(missing: set[str]) -> tuple[str, set[int]] | None:
    """The family that has most of the missing characters, with all its characters; None if none has any.

    Of several an upright regular font without serifs is preferred. The family becomes known to matplotlib, which lists
    the fonts of a machine only once.
    """
    wanted = set(map(ord, missing))
    best: tuple[tuple[int, bool, bool], FT2Font] | None = None
    files: dict[str, list[Path]] = {}
    for path, font in _installed_fonts():
        files.setdefault(font.family_name, []).append(path)
        count = len(wanted.intersection(font.get_charmap()))
        rank = (count, not font.style_flags, "sans" in font.family_name.lower())
        if count and (best is None or rank > best[0]):
            best = rank, font
    if best is None:
        return None
    family = best[1].family_name
    for path in files[family]:
        fontManager.addfont(path)
    return family, set(best[1].get_charmap())


def _installed_fonts() -> Iterator[tuple[Path, FT2Font]]:
    for name in sorted(findSystemFonts()):
        try:
            font = FT2Font(name)
        except (OSError, RuntimeError):  # damaged, or not a font
            continue
        if not font.family_name.lower().replace(" ", "").lstrip(".").startswith(_PLACEHOLDERS):
            yield Path(name), font
