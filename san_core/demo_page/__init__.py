"""The page on which a trained model answers questions about pictures."""
