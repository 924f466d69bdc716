"""Disturbs searches at random moments, resumes them, and checks that nothing is lost."""
