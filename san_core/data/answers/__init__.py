"""Which answers count as one, and which are likely slips."""
