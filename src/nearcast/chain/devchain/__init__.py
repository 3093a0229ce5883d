"""A chain of one's own: py-evm's Prague machine in this process, blocks as Ethereum has them, mined when needed."""
