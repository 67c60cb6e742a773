"""Model servers over HTTP: chat and rerank."""
