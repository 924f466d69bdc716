"""A WordNet small enough to compute similarities by hand."""

from collections.abc import Mapping
from pathlib import Path

# A WordNet of two dozen senses: number -> (words, numbers of what it is a kind of).
#
# entity - object - artifact - furniture - seat - chair, sofa
#                 |          |           ` table
#                 |          ` lamp
#                 ` organism - animal - dog
#                            ` chair (who presides)
SENSES: dict[int, tuple[str, tuple[int, ...]]] = {
    0: ("entity", ()),
    1: ("object", (0,)),
    2: ("artifact", (1,)),
    3: ("furniture", (2,)),
    4: ("seat", (3,)),
    5: ("chair", (4,)),
    6: ("sofa couch", (4,)),
    7: ("table", (3,)),
    8: ("lamp", (2,)),
    9: ("organism being", (1,)),
    10: ("animal", (9,)),
    11: ("dog", (10,)),
    12: ("chairperson chair", (9,)),
    13: ("garbage_bin", (2,)),
    14: ("goose", (10,)),
    15: ("void", ()),  # under no common root
    16: ("alpha", (0,)),
    17: ("omega", (0, 3)),  # 1 step from the root, or 4
    18: ("twig", (16, 17)),
    19: ("leaf", (17, 16)),
    20: ("fox", (10,)),
    21: ("statue", (0, 4)),  # straight under the root, and under a seat
    22: ("stub", (0, 16)),  # 1 step from the root, or 2
    23: ("bud", (22,)),
}


def write_wordnet(folder: Path, senses: Mapping[int, tuple[str, tuple[int, ...]]]) -> Path:
    """Writes senses in the format of wndb(5WN), a licence text in front."""
    licence = "".join(f"  {line} WordNet 3.1, made up for a test\n" for line in range(1, 4))

    # What a sense is a kind of and what it is an instance of count alike, so either will do.
    def line(number: int, offsets: Mapping[int, int]) -> str:
        words = senses[number][0].split()
        kinds = [f"{('@', '@i')[parent % 2]} {offsets[parent]:08} n 0000" for parent in senses[number][1]]
        pointers = [f"#p {offsets[number]:08} n 0000", *kinds, f"~ {offsets[number]:08} n 0000"]
        fields = [f"{offsets[number]:08} 03 n {len(words):02x}", *(f"{word} 0" for word in words)]
        return " ".join([*fields, f"{len(pointers):03}", *pointers]) + ' | what it means; "@ 00000000 n 0000"\n'

    offsets, end = {}, len(licence)
    for number in senses:
        offsets[number] = end
        end += len(line(number, dict.fromkeys(senses, 0)))
    meanings: dict[str, list[int]] = {}
    for number, (words, _) in senses.items():
        for word in words.split():
            meanings.setdefault(word, []).append(offsets[number])
    index = [
        f"{word} n {len(found)} 2 @ ~ {len(found)} 0 {' '.join(f'{offset:08}' for offset in found)}  \n"
        for word, found in sorted(meanings.items())
    ]
    folder.mkdir(parents=True)
    (folder / "data.noun").write_text(licence + "".join(line(number, offsets) for number in senses))
    (folder / "index.noun").write_text(licence + "".join(index))
    (folder / "noun.exc").write_text("geese goose\nchairmen chairman\n")
    return folder
