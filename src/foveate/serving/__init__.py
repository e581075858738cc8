"""The server: one network, many askers. `app.create_app` makes it; nothing here is imported before it is
needed."""
