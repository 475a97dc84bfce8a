"""What analysts decide and demand of rings: verdicts, constraints, and the audit of both. Pure, without a clock."""
