"""What ends the command with a sentence in place of a traceback."""


class Refusal(Exception):
    """Input that cannot be used: what was got, what is accepted, what to do next."""
