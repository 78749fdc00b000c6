"""Makes the tables of the reference and the man pages from the code: ``python -m docs.generate parts|man FOLDER``.

Nothing of rctl imports this. It needs rctl with its extra ``exporter``, and no package of the site.
"""
