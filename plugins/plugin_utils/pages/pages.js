"use strict";
// Without this the page is complete, only the search is missing, and folded hosts print folded.
(() => {
  const find = document.getElementById("find");
  const all = [...document.querySelectorAll("tr.row, details.host")];
  const words = all.map((one) => one.textContent.toLowerCase());
  const look = () => {
    const wanted = find.value.trim().toLowerCase().split(/\s+/);
    all.forEach((one, at) => { one.hidden = !wanted.every((word) => words[at].includes(word)); });
  };
  const unfold = () => {
    const aimed = location.hash && document.getElementById(location.hash.slice(1));
    const host = aimed && aimed.closest("details.host");
    if (host && !host.open) { host.open = true; aimed.scrollIntoView(); }
  };
  find.hidden = false;
  find.addEventListener("input", look);
  find.form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", unfold);
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
  look();
  unfold();
})();
