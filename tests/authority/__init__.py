"""An authorization server of its own kind, built on Authlib; nothing of ours is in it, so that it can judge ours."""
