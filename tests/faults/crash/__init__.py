"""Death at any moment: people write both ways, the daemon dies and comes back, and what everybody saw is judged.

history   what people do, from a seed alone
cast      the people: they do it over the wire, as often as it takes to be thanked
model     what must have been seen by whom: from the history alone
run       one run: a row of lives of one daemon, then the verdict
"""
