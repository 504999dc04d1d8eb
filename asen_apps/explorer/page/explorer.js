// What the widgets cannot do by themselves: names for screen readers, and an upload limit that is
// checked before a file is sent.
(function () {
  "use strict";

  // A file that is too large is not read: only its name and size go to Python, which explains.
  const read = FileReader.prototype.readAsArrayBuffer;
  FileReader.prototype.readAsArrayBuffer = function (file) {
    const limit = Number(document.body.dataset.uploadLimit) || Infinity;
    return read.call(this, file.size > limit ? new Blob([]) : file);
  };

  function name(element, attribute, value) {
    if (element && element.getAttribute(attribute) !== value) {
      element.setAttribute(attribute, value);
    }
  }

  function nameAll() {
    document.querySelectorAll(".ax .ax-row").forEach(function (row) {
      const tick = row.querySelector(".widget-label-basic");
      if (!tick) {
        return; // not drawn yet
      }
      const label = "Weight of " + tick.textContent.trim();
      name(row.querySelector(".noUi-handle"), "aria-label", label);
      name(row.querySelector(".widget-readout"), "aria-label", label + ", as a number");
      const slider = row.querySelector(".noUi-target");
      const off = Boolean(slider && slider.hasAttribute("disabled"));
      name(row.querySelector(".noUi-handle"), "aria-disabled", String(off));
    });
    document.querySelectorAll(".ax .ax-thumbs button").forEach(function (button) {
      name(button, "aria-label", button.title || button.textContent);
      name(button, "aria-pressed", String(button.classList.contains("ax-chosen")));
    });
    document.querySelectorAll(".ax .widget-upload").forEach(function (button) {
      const words = button.textContent.replace(/\s*\(\d+\)\s*$/, "").trim(); // drops the file count
      if (button.textContent !== words) {
        button.textContent = words;
      }
    });
    document.querySelectorAll(".ax .widget-dropdown select").forEach(function (select) {
      name(select, "aria-label", "Method");
    });
    const status = document.querySelector(".ax .ax-status .widget-html-content");
    name(status, "role", "status");
  }

  document.addEventListener("DOMContentLoaded", function () {
    new MutationObserver(nameAll).observe(document.body, {
      subtree: true, childList: true, attributes: true, attributeFilter: ["disabled", "class", "title"],
    });
    nameAll();
  });
})();
