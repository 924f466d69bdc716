"""The plots of the report: what each shows as a table, and how it is drawn."""
