"""The plots of the report, a file each: `*_table` returns what a plot shows, `*_plot` draws it with plotly."""
