"""The engine: captures heads, trains codes and scores them. It reports to a Monitor and stores nothing."""
