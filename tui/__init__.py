"""The faces: a full-screen workbench and a command line over the same host."""
