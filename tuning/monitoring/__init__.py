"""Shows the progress of a search: screen, Ray's dashboard, metrics, notifications, trackers."""
