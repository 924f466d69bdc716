"""Answers questions about images with a trained model, and shows its attention."""
