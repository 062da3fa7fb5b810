"""Training: losses, schedules, checkpoints and the Lightning task. Knows no Hydra and no run folder."""
