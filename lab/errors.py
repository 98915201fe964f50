"""What can go wrong in the lab, each with a message that names the thing and the remedy."""


class LabError(Exception):
    """The lab cannot do what was asked; the message says why and what to do."""
