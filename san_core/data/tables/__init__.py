"""Tables of any kind as rows, and which of their columns is what."""
