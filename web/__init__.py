"""What is said: requests, answers, server-sent events, and the command line."""
