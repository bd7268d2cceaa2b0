"""Repositories: the tree of records, commits, and files of both."""
