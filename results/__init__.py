"""What a search found: tables and a report, made from its run folder alone."""
