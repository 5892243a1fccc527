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

// The explorer is a page of its own in a frame. It hears of the theme's mode, and says how high it is.
function frame() {
  const explorer = document.querySelector(".course-explorer iframe");
  if (!explorer) return;
  const tell = () => explorer.contentWindow.postMessage({ theme: document.documentElement.dataset.theme }, "*");
  explorer.addEventListener("load", tell);
  new MutationObserver(tell).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  window.addEventListener("message", (event) => {
    if (event.source === explorer.contentWindow && Number.isFinite(event.data && event.data.height)) {
      explorer.style.height = `${Math.ceil(event.data.height)}px`;
    }
  });
  tell();
}

document.addEventListener("DOMContentLoaded", frame);
window.addEventListener("load", () => {
  const ready = (window.MathJax && window.MathJax.startup && window.MathJax.startup.promise) || Promise.resolve();
  ready.then(reachable);
});
window.addEventListener("resize", reachable);
