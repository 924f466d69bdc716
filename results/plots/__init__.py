"""The plots of the report and of `results compare`.

Each plot has a module. Its function `<module>_plot` draws it with plotly; slices and progress draw several plots, in
`slice_plots` and `progress_plots`. Where a plot shows values that no other table has, `<module>_table` computes them.
`search_plots` collects those of a whole search; plot, points, style and palette are what the plots share.
"""
