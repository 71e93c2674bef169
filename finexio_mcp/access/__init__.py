"""Who may call over HTTP: access tokens of ours and those of OAuth, what they allow, and where they are kept."""
