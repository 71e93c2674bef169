"""An independent opinion on what travels between us and Finexio."""
