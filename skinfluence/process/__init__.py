"""What the process has: memory, threads, sizes of blocks; how messages point and name rows."""
