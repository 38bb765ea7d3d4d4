"""The page's charts as inline SVG; colours come from its style sheet, so that they follow light and dark.

A user unit is a pixel at full size. Every chart has an accessible name, and every mark a tooltip with its value.
"""
