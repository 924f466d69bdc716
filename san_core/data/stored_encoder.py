"""The image encoder of prepared data, with which new images are encoded and which fine-tuning trains.

The weights of torchvision's and timm's networks are stored with the data. So data that were prepared on one machine can
be used on any other, also where the weights are neither installed nor can be downloaded.
"""

from pathlib import Path

from safetensors.torch import load_file, save_file

from san_core.data.damaged_files import explain_damage
from san_core.data.prepared import PreparedData
from san_core.files import is_file, write_atomically
from san_core.models.architectures import ARCHITECTURES
from san_core.models.image_encoder import ImageEncoder, build_image_encoder

ENCODER_WEIGHTS = "encoder.safetensors"


def store_encoder(encoder: ImageEncoder, name: str, folder: Path) -> None:
    """Writes the weights of the encoder called `name` to the folder of prepared data, unless a package has them."""
    if name not in ARCHITECTURES:
        weights = {key: value.detach().clone().contiguous() for key, value in encoder.state_dict().items()}
        write_atomically(folder / ENCODER_WEIGHTS, lambda partial: save_file(weights, partial))


def load_encoder(data: PreparedData) -> ImageEncoder:
    """Builds the image encoder that prepared data were encoded with, or that is to be trained on their pixels.

    Raises:
        InputError: if its weights are damaged, or neither in the folder of the data nor to be had.
    """
    path = data.folder / ENCODER_WEIGHTS
    stored = is_file(path)
    encoder = build_image_encoder(
        data.encoder, layer=data.layer, grid=data.grid, image_size=data.image_size, pretrained=not stored
    )
    if stored:
        with explain_damage(path):
            encoder.load_state_dict(load_file(path))
    return encoder
