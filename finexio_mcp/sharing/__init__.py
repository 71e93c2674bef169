"""What several servers count together, in the ledger's PostgreSQL: turns to call Finexio, and tries."""
