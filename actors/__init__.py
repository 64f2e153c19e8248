"""What happens: which run goes next on a thread, how a graph is run, where threads live."""
