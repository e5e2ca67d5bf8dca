"""v2 over gRPC: kserve's messages, our handlers, and the health protocol of gRPC."""
