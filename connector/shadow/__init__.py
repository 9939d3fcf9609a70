"""Shadow: a candidate pack judges live traffic beside the live one."""
