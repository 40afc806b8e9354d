"""The commands, one file a group. Each imports what is heavy inside the function that needs it."""
