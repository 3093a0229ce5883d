"""The settlement layer: what is signed, what the contracts are, and how a chain is asked and told."""
