"""The colours of plots and pages: those of Okabe and Ito, which colour-blind people can distinguish, and four more."""

BLUE = "#0072B2"
SKY_BLUE = "#56B4E9"
GREEN = "#009E73"
ORANGE = "#E69F00"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"
BROWN = "#8B5A2B"
GREY = "#999999"
GOLD = "#C9A227"
BRIGHT_BLUE = "#1E88C9"

CSS_VARIABLES = {
    "blue": BLUE,
    "sky-blue": SKY_BLUE,
    "green": GREEN,
    "orange": ORANGE,
    "vermilion": VERMILION,
    "purple": PURPLE,
}
"""Name of the variable in the report's style sheet, without the dashes, and its colour."""
