"""What drives a worker: a thread that looks by itself, or Procrastinate, which wakes workers on any machine."""
