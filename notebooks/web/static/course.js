// What the course adds to the theme's script.
"use strict";

// What scrolls can be scrolled with the keyboard: it takes the focus while it is wider than its place.
function reachable() {
  for (const element of document.querySelectorAll("mjx-container, .pst-scrollable-table-container")) {
    if (element.scrollWidth > element.clientWidth + 1) {
      element.setAttribute("tabindex", "0");
    } else {
      element.removeAttribute("tabindex");
    }
  }
}

// The explorer is a page of its own in a frame, and says how high it is.
window.addEventListener("message", (event) => {
  const explorer = document.querySelector(".course-explorer iframe");
  const height = event.data && event.data.attentionExplorer;
  if (explorer && event.source === explorer.contentWindow && Number.isFinite(height)) {
    explorer.style.height = `${Math.ceil(height) + 2}px`;
  }
});

window.addEventListener("load", () => {
  const ready = (window.MathJax && window.MathJax.startup && window.MathJax.startup.promise) || Promise.resolve();
  ready.then(reachable);
});
window.addEventListener("resize", reachable);
