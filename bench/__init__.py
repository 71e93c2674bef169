"""What this server costs beside a bare server on the same SDK and beside plain HTTP, measured in one run."""
