"""How the cost of a trial grows with the number of trials, on a simulated cluster."""
