"""The command line, one front door: `scout COMMAND`. A module here with a function of its own name is a command."""
