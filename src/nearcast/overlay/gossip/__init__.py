"""Who hears of whom: HyParView's views of a topic's members, Plumtree's trees over them, and signed announcements."""
