"""What the forms and views consist of: controls, rows, pieces of HTML, work in the background."""
