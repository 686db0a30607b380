"""The leaf encoder of a ViSketch checkpoint as a frozen tower: a token for every leaf of a drawing.

Pictures become lines first (`outlines` of a photo, the ink of a drawing), and lines a field, as everywhere in visketch.
"""
from torch import nn
class LeafTower(nn.Module):
    pass
