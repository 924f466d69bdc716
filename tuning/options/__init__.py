"""The options of a search, each declared once: on the command line, from Python, in settings.json and in the docs."""
