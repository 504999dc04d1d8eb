// What the widgets cannot do by themselves: names for screen readers, an upload limit that is checked
// before a file is sent, clicks on results, pasted and dropped pictures, and the query in the address.
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

  // === What goes to Python: through a text field that is not shown ===

  let sent = 0;

  function send(text) {
    const field = document.querySelector(".ax .ax-sent textarea");
    if (!field) {
      return false;
    }
    const set = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set;
    sent += 1;
    set.call(field, sent + "|" + text);
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.dispatchEvent(new Event("change", { bubbles: true }));
    return true;
  }

  function sendFile(file) {
    const limit = Number(document.body.dataset.uploadLimit) || Infinity;
    const reader = new FileReader();
    reader.onload = function () {
      send("file:" + encodeURIComponent(file.name || "pasted") + ":" + reader.result.split(",")[1]);
    };
    if (file.size > limit) {
      window.alert("This picture is larger than " + limit / 2 ** 20 + " MB. Choose a smaller copy.");
      return;
    }
    reader.readAsDataURL(file);
  }

  function onAsk(event) {
    const picture = event.target.closest && event.target.closest("[data-ask]");
    const chosen = event.type === "click" || event.key === "Enter" || event.key === " ";
    if (picture && chosen) {
      event.preventDefault();
      send(picture.dataset.ask);
      window.scrollTo({ top: 0 });
    }
  }

  document.addEventListener("click", onAsk);
  document.addEventListener("keydown", onAsk);
  document.addEventListener("dragover", function (event) { event.preventDefault(); });
  ["drop", "paste"].forEach(function (kind) {
    document.addEventListener(kind, function (event) {
      const files = (event.dataTransfer || event.clipboardData || {}).files;
      if (files && files.length) {
        event.preventDefault();
        sendFile(files[0]);
      }
    });
  });

  // === The query in the address ===

  let asked = window.location.hash.slice(1);
  let waiting = asked !== "";

  // A link that is pasted into the address bar of a page that is there already.
  window.addEventListener("hashchange", function () {
    const link = document.querySelector(".ax .ax-address [data-address]");
    asked = window.location.hash.slice(1);
    waiting = asked !== "" && !(link && link.dataset.address === asked);
    address();
  });

  function address() {
    const link = document.querySelector(".ax .ax-address [data-address]");
    if (!link) {
      return;
    }
    if (waiting) { // the page has been drawn, so it can be told what to show
      waiting = !send("address:" + asked);
    } else if (link.dataset.address !== window.location.hash.slice(1)) {
      window.history.replaceState(null, "", "#" + link.dataset.address);
    }
  }

  let drawn = false;

  function nameAll() {
    drawn = drawn || send("drawn:"); // what came before may not have reached the page
    address();
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
