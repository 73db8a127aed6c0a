"""What the process has: memory, threads, sizes of blocks; warnings at the user's line."""
