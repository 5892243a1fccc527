"""The web edition: the stored notebooks, the exercises and the pages as a site. `make site` builds it in runs/site/."""
