"""Real counterparts for the tests: a mail server, JupyterLab in a browser, a keyring daemon, certificates."""
