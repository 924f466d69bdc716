"""A trained model's answers to questions about pictures, and where it looked."""
