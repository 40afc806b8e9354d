"""The engine: heads captured, codes trained, scores counted. It reports through a Monitor and stores nothing."""
