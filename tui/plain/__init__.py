"""The workbench in lines of text, for screen readers, logs and pipes: the same verbs, no drawing."""
