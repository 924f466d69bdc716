"""The report of a run folder, as HTML and as Markdown."""
