"""local (what a client does), rounds, servers, aggregators and selection."""
