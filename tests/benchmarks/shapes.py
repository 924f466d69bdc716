from benchmarks.shapes import Shape
from san_core.config import TrainingConfig

SMALL = Shape(
    name="small",
    config=TrainingConfig(
        embedding_size=5, hidden_size=8, attention_size=6, dropout=0, batch_size=12, precision="float32"
    ),
    regions=4,
    channels=7,
    vocabulary_size=20,
    answers=9,
    shortest=2,
    longest=6,
)
