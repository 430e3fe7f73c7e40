"""The management interface: JSON-RPC 2.0 commands, independent of how requests arrive."""
