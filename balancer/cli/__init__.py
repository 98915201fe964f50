"""``balancer <noun> <verb>``: what operators and playbooks do."""

from balancer.cli.root import balancer

__all__ = ["balancer", "main"]


def main() -> None:
    """The console script."""
    balancer(prog_name="balancer")
