"""What `dailies models` does: scan a folder, show and check entries, pin, try, convert."""
