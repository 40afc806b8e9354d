"""What is known of models' circuits: effects measured head by head, and circuits that were published."""
