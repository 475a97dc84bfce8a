"""Bytes and positions: files now, brokers behind the same port."""
