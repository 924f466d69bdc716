"""Trains W configurations at once, their weights stacked, on a device that nothing leaves before the epoch's end."""
