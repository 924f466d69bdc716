"""The exception for input from the user that cannot be used."""


class InputError(ValueError):
    """Bad input from the user.

    The message is a single line with the value, the rule that it breaks and what is accepted. Every command prints it
    unchanged and exits with code 2.
    """
