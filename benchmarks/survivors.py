"""Mutants that are no mistakes: the changed function computes the same, or what differs is not asked for."""

# (function, statement, change) to the reason.
EQUIVALENT: dict[tuple[str, str, str], str] = {}
