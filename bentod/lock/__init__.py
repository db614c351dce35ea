"""What a spec leaves open, written down: commits, versions, hashes, digests."""
