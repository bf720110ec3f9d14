(function () {
  "use strict";
  document.documentElement.classList.add("js");

  // Every number goes on paper: open what is folded before printing, and fold it back after.
  var opened = [];
  window.addEventListener("beforeprint", function () {
    opened = Array.prototype.filter.call(document.querySelectorAll("details"), function (d) {
      return !d.open;
    });
    opened.forEach(function (d) { d.open = true; });
  });
  window.addEventListener("afterprint", function () {
    opened.forEach(function (d) { d.open = false; });
    opened = [];
  });

  // A link into a folded part opens it.
  function reveal() {
    var target = location.hash && document.getElementById(location.hash.slice(1));
    for (var node = target; node; node = node.parentElement) {
      if (node.tagName === "DETAILS") { node.open = true; }
    }
  }
  window.addEventListener("hashchange", reveal);
  reveal();

  // Wide tables and figures scroll on a phone; the keyboard must reach them there.
  function mark() {
    Array.prototype.forEach.call(document.querySelectorAll(".scroll"), function (box) {
      if (box.scrollWidth > box.clientWidth + 1) { box.setAttribute("tabindex", "0"); }
      else { box.removeAttribute("tabindex"); }
    });
  }
  window.addEventListener("resize", mark);
  document.addEventListener("toggle", mark, true);
  mark();

  // The contents list follows the reader.
  if ("IntersectionObserver" in window) {
    var links = {};
    Array.prototype.forEach.call(document.querySelectorAll("nav.contents a"), function (a) {
      links[a.getAttribute("href").slice(1)] = a;
    });
    var seen = new IntersectionObserver(function (entries) {
      entries.forEach(function (entry) {
        var link = links[entry.target.id];
        if (link && entry.isIntersecting) {
          Array.prototype.forEach.call(document.querySelectorAll("nav.contents a"), function (a) {
            a.removeAttribute("aria-current");
          });
          link.setAttribute("aria-current", "true");
        }
      });
    }, { rootMargin: "-10% 0px -80% 0px" });
    Object.keys(links).forEach(function (id) {
      var part = document.getElementById(id);
      if (part) { seen.observe(part); }
    });
  }
})();
