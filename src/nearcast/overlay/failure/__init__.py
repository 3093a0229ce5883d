"""Who is alive: SWIM with Lifeguard (swim.py), and beside it the heartbeats of van Renesse (van_renesse.py)."""
