"""The one exception that means: the user gave something that cannot be used."""


class InputError(ValueError):
    """Bad input from the user.

    The message is a single line that names the value, the rule it breaks and what is accepted;
    every command prints it as it stands and exits with code 2.
    """
