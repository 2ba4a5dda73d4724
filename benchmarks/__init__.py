"""Measurements that README quotes; each prints a table and one JSON line."""
