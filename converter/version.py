"""The version, in a module that imports nothing: the build reads it as text, ``--version`` at start-up."""

__version__ = "0.1.0"
