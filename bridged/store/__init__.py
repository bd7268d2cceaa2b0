"""The store: the only place in the core with SQL.

One module per table or pair of tables, each of plain functions that take an open transaction. `engine.py`
runs them: many to one durable commit, each under a savepoint of its own.
"""
