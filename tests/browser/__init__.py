"""JupyterLab in headless Chromium: the widgets used as a person uses them (`make test-browser`)."""
