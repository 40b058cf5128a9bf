"""Formulas as MathML, which browsers draw without a script or a font from the network."""

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging


def mathml(node, as_block):
    """Convert the TeX of a node; what docutils does not know is a warning, and stays TeX."""
    try:
        return tex2mathml(node.astext(), as_block=as_block)
    except MathError as error:
        logging.getLogger(__name__).warning(
            "%s in %r", error, node.astext(), location=node
        )
        return f"<code>{nodes.Text(node.astext())}</code>"


def visit_inline(self, node):
    """Write a formula within a line."""
    self.body.append(mathml(node, as_block=False))
    raise nodes.SkipNode


def visit_display(self, node):
    """Write a formula on lines of its own."""
    self.body.append(self.starttag(node, "div", CLASS="math notranslate"))
    self.body.append(mathml(node, as_block=True))
    self.body.append("</div>")
    raise nodes.SkipNode


def setup(app):
    """Offer the renderer to Sphinx."""
    app.add_html_math_renderer(
        "mathml", (visit_inline, None), (visit_display, None)
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
