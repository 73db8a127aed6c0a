"""The command: a report on a model of a file, an audit of its labels, a demonstration."""

from skinfluence.command.main import main

__all__ = ["main"]
