"""What docmail shows in a notebook: the settings form, the mail form, a document with its Email button.

No mail logic lives here; nothing here is imported by the core. `display.register` is called when IPython runs, and
loads the rest when something is shown.
"""
