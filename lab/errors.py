"""The lab's exception. Its message names what is wrong and the remedy."""


class LabError(Exception):
    """The lab cannot do what was asked; the message says why and what to do."""
