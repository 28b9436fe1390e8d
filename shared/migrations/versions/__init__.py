"""The migrations in the order of their modules' names, each `m0001_what_it_does.py` with a `MIGRATION`.

A migration that was released is never changed: what is to be done differently is another one.
"""
