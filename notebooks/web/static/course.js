// What the course adds to the theme's script.
"use strict";

{
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

  // The explorer is a page of its own in a frame. It says how high it is, and is told whether this page is light or dark.
  const frame = () => document.querySelector(".course-explorer iframe");
  const tell = () => frame()?.contentWindow.postMessage({ theme: document.documentElement.dataset.theme }, "*");
  window.addEventListener("message", (event) => {
    const height = event.data && event.data.attentionExplorer;
    if (frame() && event.source === frame().contentWindow && Number.isFinite(height)) {
      frame().style.height = `${Math.ceil(height) + 2}px`;
      tell();
    }
  });
  new MutationObserver(tell).observe(document.documentElement, { attributeFilter: ["data-theme"] });

  window.addEventListener("load", () => {
    const ready = (window.MathJax && window.MathJax.startup && window.MathJax.startup.promise) || Promise.resolve();
    ready.then(reachable);
  });
  window.addEventListener("resize", reachable);
}
