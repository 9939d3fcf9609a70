"""Reports: what decisions and deals add up to."""
