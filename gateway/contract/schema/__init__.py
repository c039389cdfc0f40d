"""The command `schema check`: which changes of a schema break its clients."""
