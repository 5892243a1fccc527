// What the course adds to the theme's script.
"use strict";

{
  // What is wider than its place scrolls, with the keyboard, too: it takes the focus. Of a formula, only the picture
  // counts; what screen readers get beside it takes no room.
  function reachable() {
    const places = 'mjx-container, .pst-scrollable-table-container, .output [style*="overflow-x"]';
    for (const place of document.querySelectorAll(places)) {
      const formula = place.matches("mjx-container");
      const width = formula ? place.firstElementChild.getBoundingClientRect().width : place.scrollWidth;
      const wide = width > place.clientWidth + 1;
      place.classList.toggle("course-wide", wide);
      if (wide) {
        place.setAttribute("tabindex", "0");
      } else {
        place.removeAttribute("tabindex");
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

  // When formulas are drawn and when the window changes, the page changes its size.
  window.addEventListener("DOMContentLoaded", () => {
    new ResizeObserver(reachable).observe(document.querySelector("main"));
  });
}
