"""Sessions: one host process that owns the store, and what everyone needs to talk to it."""
