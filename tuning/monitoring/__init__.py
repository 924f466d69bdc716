"""Shows how a search goes: progress screen, Ray's dashboard, metrics, notifications, trackers."""
