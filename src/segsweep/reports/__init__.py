"""Reports: finished runs as tables and pictures. Reads run folders; runs no network."""
