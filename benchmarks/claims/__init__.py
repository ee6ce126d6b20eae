"""The claims of the two source texts, one file for each part of them: each claim measures itself."""
