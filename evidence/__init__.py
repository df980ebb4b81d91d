"""Evidence proves features: decodable, selective, sparse, causal, specific and replicated."""
