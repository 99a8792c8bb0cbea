"""What is known of a dedup run: pairs, precision, clusters, information lost, guards."""
