"""What is generated is the same in every run, and no example of it has to be quick."""

from hypothesis import settings

# Hypothesis's own profile for CI, which it takes by itself only where it knows the CI.
settings.load_profile("ci")
