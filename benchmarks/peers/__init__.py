"""Our rollouts beside those of verifiers, inspect_ai, curator and the reference's pattern."""
