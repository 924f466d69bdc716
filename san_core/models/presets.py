"""The networks of the paper by name."""

from san_core.errors import InputError

_SMALL = {
    "LSTM": {"embedding_size": 500, "hidden_size": 500},
    "CNN": {"embedding_size": 500, "hidden_size": 640},  # 128 filters over one word, 256 over two, 256 over three
}


def _networks(suffix: str, scale: int) -> dict[str, dict[str, int | str]]:
    return {
        f"SAN({hops},{encoder}){suffix}": {
            **{field: scale * size for field, size in sizes.items()},
            "question_encoder": encoder.lower(),
            "attention_size": 512,
            "hops": hops,
            "batch_size": 100,
        }
        for hops in (1, 2)
        for encoder, sizes in _SMALL.items()
    }


PRESETS = {**_networks("", 1), **_networks("-VQA", 2)}
"""`TrainingConfig` fields of the networks in the paper's section 4: for DAQUAR and COCO-QA, and with `-VQA` for VQA.

The paper does not give the size of the attention layer; it is that of the authors' code.
"""


def preset(name: str) -> dict[str, int | str]:
    """Returns the `TrainingConfig` fields of a network, such as `SAN(2,CNN)`. Case and spaces are ignored.

    Raises:
        InputError: if there is no network of that name.
    """
    wanted = name.replace(" ", "").upper()
    if wanted not in PRESETS:
        raise InputError(f"unknown preset {name!r}; accepted: {', '.join(PRESETS)}")
    return dict(PRESETS[wanted])
