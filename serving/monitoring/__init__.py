"""What the predictor tells about itself: metrics, drift, live quality, recorded predictions and traces."""
