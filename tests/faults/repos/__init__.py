"""Death at any moment, seen from the AT Protocol: what people of the fediverse do becomes records in repositories.

town     the people: they do it over the wire, as often as it takes to be thanked
stream   the firehose as a relay reads it, over all lives of the daemon
judge    what must stand in the repositories and have been told, from what was done alone
run      one run: a row of lives of one daemon, then the verdict
"""
