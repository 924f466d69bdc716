"""From options to a plan: what a new or a resumed search is to do, checked before anything is made."""
