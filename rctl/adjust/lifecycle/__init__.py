"""The steps of an adjustment besides limits: make VEs, move and start processes, freeze, label, remove."""
