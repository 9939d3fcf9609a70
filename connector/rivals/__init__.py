"""Rivals: other automations that write the same values, and what becomes of a fight over one."""
