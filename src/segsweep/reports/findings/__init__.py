"""What runs show, as typed records: configurations with their state, intervals, comparisons."""
