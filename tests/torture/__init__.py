"""Real processes, killed at random and at the worst moments; the journal of a pretend Finexio is the judge."""
