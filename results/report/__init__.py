"""The report of a run, as HTML and as Markdown, and the comparison of several runs."""
