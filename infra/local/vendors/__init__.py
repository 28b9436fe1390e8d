"""Stand-ins for the vendors' APIs, for the local cloud and the tests. Product code never imports them."""
