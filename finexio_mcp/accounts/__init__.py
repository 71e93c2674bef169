"""The Finexio accounts that one server acts for: which there are, how each signs in, and what bounds it."""

from finexio_mcp.accounts.account import Account, Login, is_account_name
from finexio_mcp.accounts.accounts import Accounts

__all__ = ["Account", "Accounts", "Login", "is_account_name"]
