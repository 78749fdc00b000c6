"""What an adjustment does beside limits: make VEs, move and start processes, freeze, label, remove."""
